-- Connections to Redis that are ready for a command: pooled, over TLS, logged in, in their database. For all of
-- the gateway's own uses of Redis. The protocol is lua-resty-redis'. Not what is stored (limits/redis, remote/).

local crypto = require "moongate.abi.crypto"
local redis = require "resty.redis"

local _M = {}

local names = setmetatable({}, { __mode = "k" }) -- conf.redis -> name of its pool

--- The name of the pool of a server r. Connections are shared by those who would have made the same: a
-- password takes part, hashed.
function _M.pool_name(r)
  local name = names[r]
  if not name then
    name = table.concat({ r.host, r.port, r.username or "", crypto.hex(crypto.sha256(r.password or "")),
      r.database or 0, tostring(r.ssl), tostring(r.ssl_verify), r.server_name or "" }, ":")
    names[r] = name
  end
  return name
end

local function authenticate(client, r)
  if not r.password or r.password == "" then
    return true
  elseif r.username and r.username ~= "" then
    return client:auth(r.username, r.password)
  end
  return client:auth(r.password)
end

-- What a new connection needs before the first command.
local function prepare(client, r)
  if client:get_reused_times() ~= 0 then
    return true
  end
  local ok, err = authenticate(client, r)
  if not ok then
    return nil, "authentication: " .. tostring(err)
  end
  if r.database and r.database ~= 0 then
    ok, err = client:select(r.database)
    if not ok then
      return nil, "database " .. r.database .. ": " .. tostring(err)
    end
  end
  return true
end

local function handshake(client, r)
  if not r.ssl or client:get_reused_times() ~= 0 then
    return true
  end
  local ok, err = rawget(client, "_sock"):sslhandshake(nil, r.server_name or r.host, r.ssl_verify)
  return ok, err and "TLS: " .. tostring(err)
end

--- A client (lua-resty-redis) ready for a command, or nil and why. r: host, port, timeout (ms), username,
-- password, database, ssl, ssl_verify, server_name: as plugins' `redis` records have them.
function _M.connect(r, pool)
  local client = redis:new()
  client:set_timeout(r.timeout)
  local ok, err = client:connect(r.host, tonumber(r.port), { pool = pool })
  if ok then
    ok, err = handshake(client, r)
  end
  if ok then
    ok, err = prepare(client, r)
  end
  if not ok then
    client:close()
    return nil, err
  end
  return client
end


-- Text of a URL with its percent-triplets decoded.
local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

--- What redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE] (rediss:// with TLS) says, for connect; or nil, why.
function _M.parse_url(url)
  local scheme, rest = url:match("^(rediss?)://(.+)$")
  if not scheme then
    return nil, "expected redis://HOST:PORT or rediss://HOST:PORT"
  end
  local login, place = rest:match("^(.*)@([^@]*)$")
  local address, database = (place or rest):match("^([^/]*)/?(%d*)$")
  local host, port = (address or ""):match("^%[([%x:.]+)%]:?(%d*)$")
  if not host then
    host, port = (address or ""):match("^([^:]+):?(%d*)$")
  end
  if not host then
    return nil, "expected HOST, HOST:PORT or HOST:PORT/DATABASE behind " .. scheme .. "://"
  end
  local user, password = (login or ""):match("^([^:]*):(.*)$")
  return {
    host = host, port = tonumber(port) or 6379, database = tonumber(database) or 0,
    username = user and user ~= "" and unescape(user) or nil, password = password and unescape(password),
    ssl = scheme == "rediss", ssl_verify = true, timeout = 5000,
  }
end

return _M
