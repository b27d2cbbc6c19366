-- ai-mock: a route with this plugin is an LLM provider, for tests, demos and load tests.
-- It is NOT the answers themselves (lualib/ai/mock) and never calls a service.
-- Invariant: every request that reaches it is answered by it.

local cjson = require "cjson"

local mock_anthropic = require "moongate.ai.mock.anthropic"
local mock_openai = require "moongate.ai.mock.openai"

local kong = kong
local ngx = ngx

local JSON_TYPE = "application/json; charset=utf-8"

local AiMock = { PRIORITY = 760, VERSION = "1.0.0" }

local answers = 0 -- of this worker, to give each an id of its own

local function answer(status, body)
  return kong.response.exit(status, body, { ["Content-Type"] = JSON_TYPE })
end

-- JSON null means the same as absent everywhere here.
local function without_null(values)
  for name, value in pairs(values) do
    if value == cjson.null then
      values[name] = nil
    end
  end
  return values
end

-- The decoded body, or nil, why not, and the status that says so.
local function read(conf)
  local raw, err = kong.request.get_raw_body(conf.max_request_body_size)
  if not raw or raw == "" then
    return nil, err or "the request has no body"
  elseif #raw > conf.max_request_body_size then
    return nil, "the request body exceeds " .. conf.max_request_body_size .. " bytes", 413
  end
  local ok, request = pcall(cjson.decode, raw)
  if not ok then
    return nil, "the request body is not JSON: " .. tostring(request)
  elseif type(request) ~= "table" then
    return nil, "the request body is no JSON object"
  end
  return without_null(request)
end

local function wait(milliseconds)
  if milliseconds > 0 then
    ngx.sleep(milliseconds / 1000)
  end
end

-- The events that are to be sent, after the failures the configuration asks for.
local function damaged(events, conf, format)
  local failure = conf.error and conf.error.after and conf.error
  local last = failure and failure.after or conf.truncate_after
  if not last then
    return events
  end
  local out = {}
  for i = 1, math.min(last, #events) do
    out[i] = events[i]
  end
  if failure then
    local name = format == mock_anthropic and "event: error\n" or ""
    out[#out + 1] = name .. "data: " .. format.error(failure.message, failure.type) .. "\n\n"
  end
  return out
end

-- Writes the events, each in its own piece when there is a delay between them.
local function send_stream(events, conf)
  ngx.status = 200
  ngx.header["Content-Type"] = "text/event-stream; charset=utf-8"
  ngx.header["Cache-Control"] = "no-cache"
  if conf.chunk_delay_ms == 0 then
    events = { table.concat(events) }
  end
  for i, event in ipairs(events) do
    if i > 1 then
      wait(conf.chunk_delay_ms)
    end
    if not ngx.print(event) or not ngx.flush(true) then
      break -- the client is gone
    end
  end
  return ngx.exit(200)
end

local function is_embeddings(path, request)
  return path:find("/embeddings/?$") ~= nil
    or request.input ~= nil and request.messages == nil and request.prompt == nil
end

local function identify(conf)
  answers = answers + 1
  return {
    id = string.format("mock-%x-%d", math.floor(ngx.now() * 1000), answers),
    created = math.floor(ngx.now()),
    model = conf.models[1],
  }
end

function AiMock:access(conf)
  local path = kong.request.get_path()
  local how = identify(conf)
  local format = path:find("/messages/?$") and mock_anthropic or mock_openai
  wait(conf.delay_ms)
  if conf.error and not conf.error.after then
    return answer(conf.error.status, format.error(conf.error.message, conf.error.type))
  end
  if kong.request.get_method() == "GET" and path:find("/models/?$") then
    return answer(200, mock_openai.models(conf.models, how))
  end
  local request, err, status = read(conf)
  if not request then
    return answer(status or 400, format.error(err, "invalid_request_error"))
  end
  if is_embeddings(path, request) then
    local body, why = mock_openai.embeddings(request, conf, how)
    return answer(body and 200 or 400, body or format.error(why, "invalid_request_error"))
  elseif type(request.messages) ~= "table" and request.prompt == nil then
    return answer(400, format.error("the request needs messages, prompt or input",
      "invalid_request_error"))
  elseif request.stream == true then
    return send_stream(damaged(format.events(request, conf, how), conf, format), conf)
  end
  return answer(200, format.whole(request, conf, how))
end

return AiMock
