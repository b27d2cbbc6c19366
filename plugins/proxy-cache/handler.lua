-- proxy-cache: answers from this node's memory what the upstream has answered before.
-- A response is kept when it is over and whole, never one that broke off; before the client gets its end, so that
-- whoever asks after that finds it, in any worker.
-- Not the rules of freshness nor the storage (lualib/cache).
-- Unlike Kong's: what sets cookies is not kept; a stale entry is not served without max-stale; a coded body only
-- to clients that name its coding.

local crypto = require "moongate.abi.crypto"
local exchange = require "moongate.abi.exchange"
local node = require "moongate.abi.node"
local request = require "moongate.abi.request"
local response = require "moongate.abi.response"
local route = require "moongate.abi.route"
local rules = require "moongate.cache.rules"
local store = require "moongate.cache.store"

local kong = kong
local find, floor, format, lower = string.find, math.floor, string.format, string.lower

local ProxyCache = {
  PRIORITY = 100,
  VERSION = "3.14.0",
  OPTIONAL = { header_filter = true, body_filter = true },
}

local function contains(list, wanted)
  for i = 1, #list do
    if list[i] == wanted then
      return true
    end
  end
  return false
end

local function tell(conf, name, value)
  if conf.response_headers[name] then
    response.set_header(name, value)
  end
end

-- The request ------------------------------------------------------------------------------------

local function may_be_cached(conf, directives)
  if not contains(conf.request_method, request.method()) then
    return false
  end
  return not (conf.cache_control
    and (directives["no-store"] or directives["no-cache"] or request.header("Authorization")))
end

-- A list of names, or nil for an empty one.
local function named(list)
  return list and list[1] and list or nil
end

-- Kong's key: whose, method, request line, arguments, headers; and, unlike Kong's, unknown credentials.
local function key_of(conf)
  local consumer, of_route = route.consumer(), route.route()
  local whose = of_route and of_route.id or "default"
  local authorization = not consumer and request.header("Authorization")
  if consumer then
    whose = consumer.id .. ":" .. whose
  elseif authorization then
    -- Credentials that only the upstream understands are somebody's too.
    whose = crypto.hex(crypto.sha256(authorization)) .. ":" .. whose
  end
  local line = rules.request_line(request.method(), request.raw_target(), request.http_minor() == 0 and "1.0" or "1.1")
  if conf.ignore_uri_case then
    line = lower(line)
  end
  local vary = named(conf.vary_headers)
  local text = format("%s|%s|%s|%s|%s", whose, request.method(), line,
    rules.canonical(kong.request.get_query(1000), named(conf.vary_query_params)),
    vary and rules.canonical(kong.request.get_headers(1000), vary) or "")
  return crypto.hex(crypto.sha256(text))
end

-- Goes upstream; what comes back may be kept.
local function pass(conf, key, status)
  local own = kong.ctx.plugin
  own.key = key
  tell(conf, "X-Cache-Status", status)
  exchange.want("header_filter")
end

local function header_in(entry, wanted)
  for i = 1, #entry.headers, 2 do
    if lower(entry.headers[i]) == wanted then
      return entry.headers[i + 1]
    end
  end
end

-- A coded body is for clients that name its coding.
local function is_understood(entry)
  local coding = header_in(entry, "content-encoding")
  return not coding or find(lower(request.header("Accept-Encoding") or ""), lower(coding), 1, true) ~= nil
end

local function serve(conf, key, entry, age)
  local seen, content_type = {}, nil
  for i = 1, #entry.headers, 2 do
    local name, value = entry.headers[i], entry.headers[i + 1]
    local lower_name = lower(name)
    if lower_name == "content-type" then
      content_type = value
    else
      response[seen[lower_name] and "add_header" or "set_header"](name, value)
      seen[lower_name] = true
    end
  end
  tell(conf, "age", format("%d", age))
  tell(conf, "X-Cache-Status", "Hit")
  tell(conf, "X-Cache-Key", key)
  kong.ctx.shared.proxy_cache_hit = { res = entry, server_addr = request.server_addr() }
  return response.exit(entry.status, entry.body, content_type)
end

function ProxyCache:access(conf)
  local directives = rules.directives(request.header("Cache-Control"))
  if not may_be_cached(conf, directives) then
    tell(conf, "X-Cache-Status", "Bypass")
    return
  end
  local key = key_of(conf)
  tell(conf, "X-Cache-Key", key)
  local entry, err = store.fetch(conf.memory.dictionary_name, key)
  if err then
    kong.log.err("cannot read the cache: ", err)
    return
  elseif not entry then
    if conf.cache_control and directives["only-if-cached"] then
      return kong.response.exit(504)
    end
    return pass(conf, key, "Miss")
  end
  local age = floor(node.now()) - entry.stored_at
  local ttl = conf.cache_control and entry.ttl or conf.cache_ttl
  if not rules.is_fresh(age, ttl, conf.cache_control and directives) or not is_understood(entry) then
    return pass(conf, key, "Refresh")
  end
  return serve(conf, key, entry, age)
end

-- The response -----------------------------------------------------------------------------------

local NOT_KEPT = { connection = true, ["keep-alive"] = true, ["proxy-authenticate"] = true,
  ["proxy-authorization"] = true, te = true, trailer = true, trailers = true, ["transfer-encoding"] = true,
  upgrade = true, ["content-length"] = true, ["retry-after"] = true, age = true, via = true,
  ["x-cache-key"] = true, ["x-cache-status"] = true }

local function kept_headers()
  local out, flat = {}, response.headers()
  for i = 1, #flat, 2 do
    local name = lower(flat[i])
    if not NOT_KEPT[name] and not find(name, "ratelimit-", 1, true) and not find(name, "^x%-kong%-") then
      out[#out + 1], out[#out + 2] = flat[i], flat[i + 1]
    end
  end
  return out
end

-- How long the response may live; nil: it is not kept.
local function lifetime(conf)
  if not contains(conf.response_code, response.status()) or response.header("Set-Cookie")
    or response.header("Vary") == "*" or not rules.is_listed(response.header("Content-Type"), conf.content_type) then
    return nil
  elseif not conf.cache_control then
    return conf.cache_ttl
  end
  local directives = rules.directives(response.header("Cache-Control"))
  if directives["private"] or directives["no-store"] or directives["no-cache"] then
    return nil
  end
  local ttl = rules.lifetime(directives, response.header("Expires"), node.now())
  return ttl > 0 and ttl or nil
end

function ProxyCache:header_filter(conf)
  local own = kong.ctx.plugin
  if response.source() ~= "service" then
    own.key = nil
    return
  end
  local ttl = lifetime(conf)
  if not ttl then
    own.key = nil
    tell(conf, "X-Cache-Status", "Bypass")
    return
  end
  own.entry = { status = response.status(), headers = kept_headers(), ttl = ttl }
  own.parts, own.size, own.max_size = {}, 0, store.max_body_bytes(conf.memory.dictionary_name)
  exchange.want("body_filter")
end

local function keep(conf, own)
  local entry = own.entry
  entry.body, entry.stored_at = table.concat(own.parts), floor(node.now())
  local ok, err = store.keep(conf.memory.dictionary_name, own.key, entry, conf.storage_ttl or entry.ttl)
  if not ok then
    kong.log.err("cannot keep a response: ", err)
  end
end

function ProxyCache:body_filter(conf)
  local own = kong.ctx.plugin
  local parts = own.parts
  if not parts then
    return
  end
  local chunk, last = response.chunk()
  if chunk and chunk ~= "" then
    own.size = own.size + #chunk
    parts[#parts + 1] = chunk
    if own.size > own.max_size then
      own.parts, own.key = nil, nil
      kong.log.info("a response of over ", own.max_size, " bytes is not kept")
      return
    end
  end
  if last and response.whole() then
    keep(conf, own)
  end
end

return ProxyCache
