-- One question to a provider, outside of the proxied request: a chat request of our own, the whole answer.
-- It is NOT proxying (plugins/ai-proxy). The configuration is conf_schema.lua's; streams are never asked for.

local bridges = require "moongate.ai.bridges"
local http = require "moongate.http.client"
local json = require "moongate.pdk.json"
local plans = require "moongate.ai.plan"

local _M = {}

local CHAT = "llm/v1/chat"
local ANTHROPIC_VERSION = "2023-06-01"

local function url_of(plan)
  local target, auth, query = plan.target, plan.auth, {}
  query[#query + 1] = target.query
  if plan.provider == "azure" then
    query[#query + 1] = "api-version=" .. (plan.options.azure_api_version or "2023-05-15")
  end
  if auth.param_location == "query" then
    query[#query + 1] = auth.param_pair
  end
  return ("%s://%s:%d%s%s"):format(target.scheme, target.host, target.port, target.path or "/",
    #query > 0 and "?" .. table.concat(query, "&") or "")
end

-- The body in the provider's format, or nil, error.
local function body_of(plan, messages)
  local question = { model = plan.model, messages = messages, stream = false }
  for _, name in ipairs({ "max_tokens", "temperature", "top_p" }) do
    question[name] = plan.options[name]
  end
  local text = json.encode(question)
  if plan.bridge then
    local translated, err = plan.bridge.request(text, { model = plan.model, stream = false, options = plan.options,
      drop_top_k = true, newer_cap = false, ask_usage = false })
    if not translated then
      return nil, err
    end
    text = translated
  end
  local auth = plan.auth
  if auth.param_location == "body" then
    text = '{"' .. auth.param_name .. '":' .. auth.param_raw .. "," .. text:sub(2)
  end
  return text
end

local function headers_of(plan)
  local headers = { ["Content-Type"] = "application/json" }
  if plan.format == "anthropic" then
    headers["anthropic-version"] = plan.options.anthropic_version or ANTHROPIC_VERSION
  end
  if plan.auth.header_name then
    headers[plan.auth.header_name] = plan.auth.header_value
  end
  return headers
end

-- The answer as an OpenAI chat completion, or nil, error.
local function decode(plan, answer)
  if answer.status ~= 200 then
    return nil, ("status code %d from the AI service: %s"):format(answer.status, answer.body:sub(1, 200))
  end
  local text = answer.body
  if plan.bridge then
    local whole, err = plan.bridge.response(text, { created = os.time(), model = plan.model })
    if not whole then
      return nil, err
    end
    text = whole
  end
  local completion = json.decode(text)
  if type(completion) ~= "table" then
    return nil, "the AI service's answer is no JSON object"
  end
  return completion
end

--- Asks. conf: route_type, auth, model, logging as in ai-proxy; messages: {{role =, content =}, ...}; opts: timeout_ms,
--- ssl_verify. The chat completion (a table in OpenAI's format), or nil, error.
function _M.ask(conf, messages, opts)
  local plan, err = plans.build({
    route_type = CHAT, auth = conf.auth, model = conf.model, logging = conf.logging,
  }, nil, true)
  if not plan then
    return nil, err
  elseif plan.bridge and plan.bridge ~= bridges.between("openai", plan.format) then
    return nil, "no transformer available for " .. plan.provider
  end
  local body
  body, err = body_of(plan, messages)
  if not body then
    return nil, err
  end
  local answer
  answer, err = http.request({ url = url_of(plan), method = "POST", headers = headers_of(plan), body = body,
    timeout_ms = opts and opts.timeout_ms, ssl_verify = opts and opts.ssl_verify })
  if not answer then
    return nil, err
  end
  return decode(plan, answer)
end

return _M
