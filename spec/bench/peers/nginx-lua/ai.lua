-- luacheck: globals ngx, ignore 122
-- The seed scenario for lua-nginx-module: key auth, rate limit, body rewrite,
-- key injection, token counting, limit headers.  Written as a careful
-- OpenResty user would write it: lua-resty-core's FFI API, shared dicts, no
-- work that the scenario does not ask for.
local cjson = require "cjson.safe"
local decode, encode = cjson.decode, cjson.encode
local find, match, sub = string.find, string.match, string.sub
local concat = table.concat

local limits, usage = ngx.shared.limits, ngx.shared.usage
local LIMIT = tonumber(os.getenv("BENCH_LIMIT")) or 1000000000
local WINDOW = 60
local UPSTREAM_AUTH = "Bearer sk-upstream"

local consumers = { ["demo-key"] = { id = "demo" } }
for i = 1, 1000 do -- a table of some size, as in real life
  consumers["key-" .. i] = { id = "consumer-" .. i }
end

local _M = {}

local function refuse(status, message)
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.say(encode({ error = { message = message } }))
  return ngx.exit(status)
end

function _M.access()
  -- (a) authenticate
  local key = ngx.var.http_apikey
  local consumer = key and consumers[key]
  if not consumer then
    return refuse(401, "invalid api key")
  end
  -- (b) rate limit: a counter per key and window, shared by all workers
  local now = ngx.time()
  local window = now - now % WINDOW
  local n, err = limits:incr(consumer.id .. ":" .. window, 1, 0, 2 * WINDOW)
  if not n then
    return refuse(500, err)
  end
  if n > LIMIT then
    ngx.header["Retry-After"] = window + WINDOW - now
    return refuse(429, "rate limit exceeded")
  end
  -- (c) parse the body, set model and max_tokens
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  local doc = body and decode(body)
  if type(doc) ~= "table" then
    return refuse(400, "body is not a JSON object")
  end
  doc.model = "gpt-4o"
  doc.max_tokens = 512
  ngx.req.set_body_data(encode(doc))
  -- (d) the upstream's key in place of the caller's
  ngx.req.set_header("Authorization", UPSTREAM_AUTH)
  ngx.req.clear_header("apikey")
  local ctx = ngx.ctx
  ctx.consumer = consumer.id
  ctx.remaining = LIMIT - n
  ctx.stream = doc.stream
end

function _M.header_filter()
  local ctx = ngx.ctx
  local remaining = ctx.remaining
  if remaining then
    local h = ngx.header
    h["X-RateLimit-Limit"] = LIMIT
    h["X-RateLimit-Remaining"] = remaining
    ctx.count = ngx.status == 200
  end
end

local function count(id, doc)
  local u = type(doc) == "table" and doc.usage
  if type(u) == "table" and u.total_tokens then
    usage:incr(id, u.total_tokens, 0)
  end
end

function _M.body_filter()
  local ctx = ngx.ctx
  if not ctx.count then
    return
  end
  local arg = ngx.arg
  local chunk, eof = arg[1], arg[2]
  if ctx.stream then
    -- (g) passes through; only the event that carries the usage is parsed.
    -- An event may be cut by a buffer's end: its beginning is kept in tail.
    local tail = ctx.tail
    local data = tail and tail .. chunk or chunk
    local i = find(data, '"usage":{', 1, true)
    local e = i and find(data, "\n\n", i, true)
    if e then
      local s = 1 -- the start of that event
      while true do
        local p = find(data, "\n\n", s, true)
        if p >= e then break end
        s = p + 2
      end
      count(ctx.consumer, decode(sub(data, s + 6, e - 1)))
    end
    if chunk ~= "" then
      if sub(data, -2) == "\n\n" then
        ctx.tail = nil
      else
        ctx.tail = match(data, ".*\n\n(.*)$") or data
      end
    end
    return
  end
  -- (f) collect the JSON answer, count its tokens
  local parts = ctx.parts
  if eof then
    if parts then
      if chunk ~= "" then parts[#parts + 1] = chunk end
      chunk = #parts == 1 and parts[1] or concat(parts)
    end
    count(ctx.consumer, decode(chunk))
  elseif chunk ~= "" then
    if parts then
      parts[#parts + 1] = chunk
    else
      ctx.parts = { chunk }
    end
  end
end

function _M.usage()
  ngx.header["Content-Type"] = "application/json"
  ngx.print(encode({ demo = usage:get("demo") or 0 }))
end

return _M
