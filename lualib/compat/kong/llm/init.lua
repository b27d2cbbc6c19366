-- The name guests know: require "kong.llm": the configuration of a model, and drivers that ask one question. The providers
-- are lualib/ai's; a provider it cannot talk to is an error of the driver.

local ask = require("moongate.ai.ask").ask
local conf_schema = require("moongate.ai.conf_schema")
local json = require("moongate.pdk.json")
local ngx = require("moongate.ngx")
local observability = require("kong.llm.plugin.observability")

local _M = {}
local Driver = {}
Driver.__index = Driver

local SHARED = { route_type = true, auth = true, model = true, logging = true }

-- ai-proxy's record without what is ai-proxy's own.
local function shared_schema()
  local out = { type = "record", fields = {}, entity_checks = conf_schema.entity_checks }
  for _, item in ipairs(conf_schema.fields) do
    if SHARED[(next(item))] then
      out.fields[#out.fields + 1] = item
    end
  end
  return out
end

_M.config_schema = shared_schema()

local function format_of(request)
  local chat = type(request.messages) == "table" and #request.messages > 0
  local completion = type(request.prompt) == "string"
  if chat and completion then
    return nil, "request matches multiple LLM request formats"
  elseif chat then
    return "llm/v1/chat"
  end
  return completion and "llm/v1/completions" or nil, "request format not recognised"
end

--- Does a request fit a route type? true; or false or nil, and why.
function _M.is_compatible(request, route_type)
  if route_type == "preserve" then
    return true
  end
  local format, err = format_of(request)
  if not format then
    return nil, err
  elseif format == route_type then
    return true
  end
  return false, ("[%s] message format is not compatible with [%s] route type"):format(format, route_type)
end

--- A driver for a configuration as in config_schema. http_options: http_timeout (ms), https_verify.
function _M.new_driver(conf, http_options)
  if not conf or not conf.model then
    return nil, "could not instantiate a driver: no model is configured"
  end
  return setmetatable({ conf = conf, http_opts = http_options or {}, provider = conf.model.provider }, Driver)
end

--- Asks the model to make of a text what the prompt says: the new text, the first match of `pattern` in it when one is
--- given; or nil and why.
function Driver:ai_introspect_body(text, prompt, http_options, pattern)
  local options = http_options or self.http_opts
  local completion, err = ask(self.conf, {
    { role = "system", content = prompt }, { role = "user", content = text },
  }, { timeout_ms = options.http_timeout, ssl_verify = options.https_verify })
  if not completion then
    return nil, "failed to introspect request with AI service: " .. err
  end
  local usage = type(completion.usage) == "table" and completion.usage or {}
  observability.metrics_add("llm_prompt_tokens_count", tonumber(usage.prompt_tokens) or 0)
  observability.metrics_add("llm_completion_tokens_count", tonumber(usage.completion_tokens) or 0)
  local choice = type(completion.choices) == "table" and completion.choices[1]
  local content = choice and choice.message and choice.message.content
  if type(content) ~= "string" then
    return nil, "no 'choices' in upstream AI service response"
  elseif not pattern then
    return content
  end
  local match
  match, err = ngx.re.match(content, pattern, "ijom")
  if err then
    return nil, "failed regex matching ai response: " .. err
  end
  return match and match[0], not match and "AI response did not match specified regular expression" or nil
end

--- headers, body and status of an answer's JSON {headers, body, status}; or nil, nil, nil and why.
function Driver.parse_json_instructions(_, body)
  local parsed = type(body) == "string" and json.decode(body) or body
  if type(parsed) ~= "table" then
    return nil, nil, nil, "the answer is no JSON object"
  end
  return parsed.headers, parsed.body or parsed, parsed.status or 200
end

return _M
