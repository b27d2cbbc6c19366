-- Shape checks of requests in OpenAI's format, over the lazy document of the exchange.
-- It is NOT validation of every member (the provider does that) and decodes no message.
-- Invariant: only types and counts of top-level members are looked at.

local _M = {}

_M.NO_PROMPTS = "request body doesn't contain valid prompts"
_M.MULTIPLE = "request matches multiple LLM request formats"
_M.UNKNOWN = "request format not recognised"
_M.NO_CONTENT_TYPE = "content-type header does not match request body, or bad JSON formatting"

local function has_messages(x)
  return x.json_type("messages") == "array" and (x.json_count("messages") or 0) > 0
end

-- A prompt is a string or a non-empty array (of strings, or of tokens).
local function has_text(x, name)
  local kind = x.json_type(name)
  return kind == "string" or kind == "array" and (x.json_count(name) or 0) > 0
end

-- The route type the body is written for, or nil, error text.
function _M.identify(x)
  local messages, prompt = has_messages(x), has_text(x, "prompt")
  if messages and prompt then
    return nil, _M.MULTIPLE
  elseif messages then
    return "llm/v1/chat"
  elseif prompt then
    return "llm/v1/completions"
  end
  return nil, _M.NO_PROMPTS
end

-- true when the body fits the route type, else nil, error text.
function _M.check(x, route_type)
  if route_type == "llm/v1/embeddings" then
    if has_text(x, "input") then
      return true
    end
    return nil, _M.UNKNOWN
  end
  local found, err = _M.identify(x)
  if not found then
    return nil, err
  end
  if found ~= route_type then
    return nil, "[" .. found .. "] message format is not compatible with [" .. route_type
      .. "] route type"
  end
  return true
end

return _M
