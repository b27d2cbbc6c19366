-- Routes with ai-proxy before one fake provider: /NAME is served by the plugin's configuration NAME.
-- It is NOT a model: a spec says every byte of the provider's answer.
-- Invariant: the provider's key is M.KEY, the client's is M.CLIENT_KEY; neither may be taken for the other.

require("e2e.support.expect")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local message = require("e2e.support.message")
local sched = require("e2e.support.sched")
local upstream = require("e2e.support.upstream")
local cjson = require("cjson")
local assert = require("luassert")

local M = {}

M.KEY = "Bearer provider-key"
M.CLIENT_KEY = "Bearer client-key"
M.ASK = '{"messages":[{"role":"user","content":"hi"}]}'
M.ASK_STREAM = '{"messages":[{"role":"user","content":"hi"}],"stream":true}'
M.USAGE = '{"prompt_tokens":7,"completion_tokens":6,"total_tokens":13}'
M.ANSWER = '{"id":"c1","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":'
  .. '{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":'
  .. M.USAGE
  .. "}"

local function merge(base, over)
  local out = {}
  for name, value in pairs(base) do
    out[name] = value
  end
  for name, value in pairs(over or {}) do
    local both = type(value) == "table" and type(out[name]) == "table" and not value[1]
    out[name] = both and merge(out[name], value) or value
  end
  return out
end

local OPENAI = {
  route_type = "llm/v1/chat",
  auth = { header_name = "Authorization", header_value = M.KEY },
  logging = { log_statistics = true },
  model = { provider = "openai", name = "gpt-4o" },
}

local ANTHROPIC = {
  route_type = "llm/v1/chat",
  auth = { header_name = "x-api-key", header_value = "provider-key" },
  logging = { log_statistics = true },
  model = { provider = "anthropic", name = "claude-test", options = { anthropic_version = "2023-06-01" } },
}

-- A configuration of ai-proxy: the provider's defaults, changed by `over`; its target is `url`.
function M.config(url, over)
  local anthropic = over.model and over.model.provider == "anthropic"
  local target = { model = { options = { upstream_url = url } } }
  local config = merge(merge(anthropic and ANTHROPIC or OPENAI, target), over)
  config.model.options.upstream_url = config.model.options.upstream_url or nil
  if config.auth.header_name == false then
    config.auth.header_name, config.auth.header_value = nil, nil
  end
  return config
end

-- YAML: routes = {NAME = {config...}}; a `path` beside it (not sent on) is the route's.
function M.yaml(url, routes)
  local list = {}
  for name, over in pairs(routes) do
    local path = over.path or ("/" .. name)
    over = merge(over, {})
    over.path = nil
    list[#list + 1] = {
      name = name,
      paths = { path },
      plugins = { { name = "ai-proxy", config = M.config(url, over) } },
    }
  end
  local text = cjson.encode({
    _format_version = "3.0",
    services = { { name = "llm", url = "http://localhost:32000", retries = 0, routes = list } },
  })
  return (text:gsub("\\/", "/"))
end

-- A gateway and its provider: gw, up. opts go to gateway.start.
function M.start(routes, opts)
  local up = upstream.start()
  up:answer(M.json(M.ANSWER))
  opts = merge(opts or {}, { config = M.yaml(up.url, routes) })
  local ok, gw = pcall(gateway.start, opts)
  if not ok then
    up:stop()
    error(gw, 2)
  end
  return gw, up
end

-- An answer of the provider: JSON text.
function M.json(text, status, headers)
  return { status = status, headers = merge({ ["Content-Type"] = "application/json" }, headers), body = text }
end

-- A request of a client's: JSON text to a route.
function M.post(gw, route, body, headers)
  headers = merge({ ["Content-Type"] = "application/json", Authorization = M.CLIENT_KEY }, headers)
  for name, value in pairs(headers) do
    headers[name] = value or nil
  end
  return client.request({ to = gw, path = "/" .. route, method = "POST", headers = headers, body = body })
end

-- The access log entry of the request that got this response.
function M.logged(gw, response)
  local id = response:header("x-kong-request-id")
  return gw:wait_access(function(entry)
    return entry.request.id == id and entry
  end)
end

-- Asserts an error of ai-proxy's own.
function M.assert_refused(status, text, response)
  assert.status(status, response)
  assert.same({ error = { message = text } }, response:json())
  assert.header("application/json; charset=utf-8", response, "content-type")
end

-- Streams ---------------------------------------------------------------------------------------

-- Closing, so that the next script gets a connection of its own.
local SSE = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"

function M.event(data)
  return "data: " .. data .. "\n\n"
end

-- A chunk of a chat completion.
function M.chunk(choices, usage)
  return M.event('{"id":"c1","object":"chat.completion.chunk","model":"gpt-4o-2024-08-06","choices":'
    .. choices .. (usage and ',"usage":' .. usage or "") .. "}")
end

function M.delta(members, finish)
  return M.chunk('[{"index":0,"delta":{' .. members .. '},"finish_reason":' .. (finish and '"' .. finish .. '"' or "null") .. "}]")
end

M.ROLE = M.delta('"role":"assistant","content":""')
M.HELLO = M.ROLE .. M.delta('"content":"Hel"') .. M.delta('"content":"lo \\u00e9 é"') .. M.delta("", "stop")
M.USAGE_EVENT = M.chunk("[]", M.USAGE)
M.DONE = M.event("[DONE]")

-- The provider answers requests with this stream, each piece a chunk and a segment of its own.
-- opts: headers (more lines), ending: "end" (default), "close" or "reset" without the last chunk, "open".
function M.stream(up, pieces, opts)
  opts = opts or {}
  up:on(function(c)
    if not c:read_request() then
      return
    end
    c:send(SSE .. (opts.headers or "") .. "\r\n")
    for i, piece in ipairs(pieces) do
      if i > 1 then
        sched.sleep(opts.pause or 0)
      end
      c:send(("%x\r\n%s\r\n"):format(#piece, piece))
    end
    if opts.ending == "open" then
      pcall(c.wait_closed, c, 4 * sched.limit)
    elseif opts.ending == "reset" then
      sched.sleep(0.01)
      c:reset()
    elseif opts.ending ~= "close" then
      c:send("0\r\n\r\n")
    end
  end)
end

-- A client's connection after a stream request: connection, response (head only).
function M.open_stream(gw, route, body, headers)
  local c = client.connect(gw)
  local fields = merge({ ["Content-Type"] = "application/json" }, headers)
  c:write({ path = "/" .. route, method = "POST", headers = fields, body = body or M.ASK_STREAM })
  return c, c:answer({ head_only = true })
end

-- What a client gets of a stream: the bytes, and how it ended: "end", or what broke it off.
function M.read_stream(gw, route, body, headers)
  local c, response = M.open_stream(gw, route, body, headers)
  local ok, err = pcall(response.finish, response)
  local parts = {}
  for i, piece in ipairs(response.pieces) do
    parts[i] = piece.data
  end
  c:close()
  return table.concat(parts), ok and "end" or err, response
end

M.parse_event = message.parse_event

return M
