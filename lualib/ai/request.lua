-- Normalises one request in place: checks its shape, pins the model, applies configured options and
-- the streaming policy, asks for usage. All by reading and splicing top-level members.
-- It is NOT translation to another format (bridges.lua) and sets no target or header.
-- Invariant: the body is neither decoded nor re-encoded; `messages` is never copied.

local json_text = require "moongate.ai.json_text"
local openai = require "moongate.ai.openai"
local span = require "moongate.ai.span"

local _M = {}

-- An edit that fails must not pass: the model lock and the caps depend on it.
local function set(x, name, raw)
  local ok, why = x.json_set(name, raw)
  if not ok then
    error("cannot set '" .. name .. "' in the request body: " .. tostring(why), 0)
  end
end

local function remove(x, name)
  if x.json_type(name) then
    local ok, why = x.json_remove(name)
    if not ok then
      error("cannot remove '" .. name .. "' from the request body: " .. tostring(why), 0)
    end
  end
end

-- Is this Content-Type one we read as JSON? A missing one is.
function _M.is_json_type(content_type)
  if not content_type or content_type == "application/json" or content_type == "" then
    return true
  end
  local media = content_type:match("^%s*([^;%s]*)"):lower()
  return media == "application/json" or media:find("^application/[%w.-]+%+json$") ~= nil
end

local function choose_model(x, plan)
  local kind = x.json_type("model")
  if kind and kind ~= "string" and kind ~= "null" then
    return nil, "model parameter must be a string"
  end
  local asked = x.json_string("model")
  local name = plan.model
  if not name then
    name = asked and asked ~= "" and asked or plan.options.azure_deployment_id
    if not name then
      return nil, "model parameter not found in request, nor in gateway configuration"
    end
  elseif asked and asked ~= name and not plan.replace_model then
    return nil, "cannot use own model - must be: " .. name
  end
  if asked ~= name then
    set(x, "model", name == plan.model and plan.model_raw or json_text.quote(name))
  end
  return name
end

-- Whether the answer is a stream; sets the member when the configuration decides.
local function choose_stream(x, plan)
  if plan.route_type == "llm/v1/embeddings" then
    return false
  end
  local kind = x.json_type("stream")
  if kind and kind ~= "boolean" and kind ~= "null" then
    return nil, "stream parameter must be a boolean"
  end
  local asked = kind == "boolean" and x.json_raw("stream") == "true"
  if asked and plan.streaming == "deny" then
    return nil, "response streaming is not enabled for this LLM"
  end
  if plan.streaming == "always" and not asked then
    set(x, "stream", "true")
    return true
  end
  return asked
end

-- Newer models call it max_completion_tokens, OpenAI's reasoning models refuse the old name: the
-- configured cap must hold for either.
local function set_option(x, name, raw, newer)
  if name == "max_tokens" and (newer or x.json_type("max_completion_tokens")) then
    set(x, "max_completion_tokens", raw)
    remove(x, "max_tokens")
    return
  end
  if x.json_type(name) ~= "number" or x.json_raw(name) ~= raw then
    set(x, name, raw)
  end
end

local function apply_options(x, plan, model)
  local newer = plan.drops_max_tokens and (model:find("^o%d") or model:find("^gpt%-5")) ~= nil
  for _, option in ipairs(plan.overrides) do
    set_option(x, option.name, option.raw, newer)
  end
  for _, name in ipairs(plan.drop) do
    remove(x, name)
  end
end

-- Makes the provider send usage at the end of the stream. Returns whether the client asked itself.
local function ask_usage(x, plan)
  local kind = x.json_type("stream_options")
  if kind == "object" and x.json_member_raw("stream_options", "include_usage") == "true" then
    return true
  end
  if not plan.must_ask_usage or not plan.statistics or plan.bridge
    or plan.client_format ~= "openai" then
    return false
  end
  local members = { "include_usage", "true" }
  if kind == "object" then
    local at, names = span.object(x.json_raw("stream_options"))
    for _, name in ipairs(at and names or {}) do
      if name ~= "include_usage" then
        members[#members + 1] = name
        members[#members + 1] = at[name]
      end
    end
  end
  set(x, "stream_options", json_text.object(members))
  return false
end

-- Reads and normalises the body. Returns {model, stream, usage_asked, service_tier}, or
-- nil, the text for a 400, and (for the log) the reason where it says more. A body that is JSON is
-- taken as such, whatever its Content-Type claims (curl's default is a form).
function _M.normalise(x, plan, content_type)
  local ok, why = x.read_body(plan.body_max_bytes)
  if not ok then
    return nil, openai.NO_PROMPTS, why
  end
  ok, why = x.json_open()
  if not ok then
    return nil, _M.is_json_type(content_type) and openai.NO_PROMPTS or openai.NO_CONTENT_TYPE, why
  end
  local err
  ok, err = openai.check(x, plan.route_type)
  if not ok then
    return nil, err
  end
  local model, stream
  model, err = choose_model(x, plan)
  if not model then
    return nil, err
  end
  stream, err = choose_stream(x, plan)
  if err then
    return nil, err
  end
  if not plan.bridge then
    apply_options(x, plan, model)
  end
  return {
    model = model,
    stream = stream,
    usage_asked = stream and ask_usage(x, plan) or false,
    service_tier = x.json_string("service_tier"),
  }
end

return _M
