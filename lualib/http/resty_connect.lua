-- Connections of resty.http (compat/resty/http): TCP or unix socket, proxy, TLS, and the pool that fits them.
-- Not cosockets themselves (ngx/socket) nor messages (http/resty_read, http/resty_write).
-- Invariant: two connections share a pool only when scheme, peer, proxy, credentials and TLS settings are the same.

local read = require "moongate.http.resty_read"
local tls = require "moongate.abi.tls"
local write = require "moongate.http.resty_write"

local _M = {}

local PORTS = { http = 80, https = 443 }

-- {scheme or nil, host, port, path, query}; nil, err. The path is "/" when there is none.
function _M.parse_uri(uri)
  local scheme, rest = tostring(uri):match("^([hH][tT][tT][pP][sS]?)://(.*)$")
  rest = rest or tostring(uri):match("^//(.*)$")
  local authority, path = (rest or ""):gsub("#.*$", ""):match("^([^/?]+)(.*)$")
  local host, port = (authority or ""):match("^(%[[^%[%]]+%]):?(%d*)$")
  if not host then
    host, port = (authority or ""):match("^([^:@%[%]%s]+):?(%d*)$")
  end
  port = port and port ~= "" and tonumber(port) or nil
  if not host or port and port > 65535 then
    return nil, "bad uri: " .. tostring(uri)
  end
  local query
  path, query = path:match("^([^?]*)%??(.*)$")
  return { scheme = scheme and scheme:lower(), host = host, port = port, path = path == "" and "/" or path, query = query }
end

local function reset(conn, host, port, scheme)
  conn.host, conn.port, conn.scheme = host, port, scheme
  conn.unix = host:sub(1, 5) == "unix:"
  conn.keepalive, conn.unread = true, 0
  conn.proxy_prefix, conn.proxy_authorization = nil, nil
end

-- connect(host, port, opts) as it was: TCP only.
function _M.plain(conn, host, ...)
  local port = ...
  reset(conn, tostring(host), type(port) ~= "table" and tonumber(port) or nil)
  return conn.sock:connect(host, ...)
end

-- ---- proxies ----

local function is_exempt(list, host)
  for entry in (list or ""):lower():gmatch("[^,%s]+") do
    entry = entry:gsub("^%*?%.", "")
    if entry == "*" or host == entry or host:sub(-#entry - 1) == "." .. entry then
      return true
    end
  end
  return false
end

-- {host, port, authorization, uri} of the proxy to use; false for none; nil, err.
local function proxy_for(opts, scheme, host)
  local uri = opts and opts[tostring(scheme) .. "_proxy"]
  if not uri or is_exempt(opts.no_proxy, host:lower()) then
    return false
  end
  local parts, err = _M.parse_uri(uri)
  if not parts then
    return nil, err
  elseif parts.scheme ~= "http" then
    return nil, "protocol " .. tostring(parts.scheme) .. " not supported for proxy connections"
  end
  return { host = parts.host, port = parts.port or PORTS.http, authorization = opts[scheme .. "_proxy_authorization"] }
end

-- Asks the proxy for a tunnel to host:port.
local function tunnel(conn, host, port, authorization)
  local to = host .. ":" .. port
  local ok, err = conn.sock:send({ "CONNECT ", to, " HTTP/1.1\r\nHost: ", to, "\r\n",
    authorization and "Proxy-Authorization: " .. authorization .. "\r\n" or "", "\r\n" })
  local head
  if ok then
    head, err = read.final_head(conn.sock)
  end
  if not head then
    return nil, err
  elseif head.status < 200 or head.status > 299 then
    return nil, "failed to establish a tunnel through a proxy: " .. head.status
  end
  return true
end

-- connect_proxy(uri, scheme, host, port, authorization): the deprecated way.
function _M.via(conn, uri, scheme, host, port, authorization)
  local proxy, err = proxy_for({ [scheme .. "_proxy"] = uri }, scheme, host)
  if not proxy then
    return nil, err or "no proxy given"
  end
  reset(conn, host, tonumber(port), scheme)
  local ok
  ok, err = conn.sock:connect(proxy.host, proxy.port, { pool = ("%s/%s/%s:%s"):format(uri, scheme, host, port) })
  if ok and scheme == "https" and conn.sock:getreusedtimes() == 0 then
    ok, err = tunnel(conn, host, port, authorization)
    if not ok then
      conn.sock:close()
    end
  end
  return ok, err
end

-- ---- connect(options) ----

local function check(options)
  local scheme, host = options.scheme and tostring(options.scheme):lower(), options.host
  if type(host) ~= "string" or host == "" then
    return nil, "no host: connect() needs one in its table of options"
  elseif scheme and not PORTS[scheme] then
    return nil, "scheme not supported: " .. scheme
  end
  if host:sub(1, 1) == "/" then
    host = "unix:" .. host
  end
  local port = tonumber(options.port) or host:sub(1, 5) ~= "unix:" and PORTS[scheme or "http"] or nil
  return { scheme = scheme, host = host, port = port }
end

-- The pool's name: all that makes a connection fit for this request and no other.
local function pool_of(to, options, proxy)
  local parts = { to.scheme or "tcp", to.host, to.port or "" }
  if to.scheme == "https" then
    local cert = tls.text_of(options.ssl_client_cert)
    parts[4], parts[5] = options.ssl_server_name or to.host, tostring(options.ssl_verify ~= false)
    parts[6] = cert and ngx.md5(cert .. (tls.text_of(options.ssl_client_priv_key) or "")) or ""
  end
  if proxy then
    parts[#parts + 1] = "proxy " .. proxy.host .. " " .. proxy.port .. " "
      .. (to.scheme == "https" and proxy.authorization and ngx.md5(proxy.authorization) or "")
  end
  return table.concat(parts, ":")
end

local function socket_options(to, options, proxy)
  local pool = options.pool or pool_of(to, options, proxy)
  if options.pool_debug then
    ngx.log(ngx.DEBUG, "resty.http: pool name: ", pool)
  end
  return { pool = pool, pool_size = options.pool_size, backlog = options.backlog }
end

local function connect_peer(conn, to, options, proxy)
  local opts = socket_options(to, options, proxy)
  if proxy then
    return conn.sock:connect(proxy.host, proxy.port, opts)
  elseif conn.unix then
    return conn.sock:connect(to.host, opts)
  end
  return conn.sock:connect(to.host, to.port, opts)
end

-- What a connection to an https origin needs before requests: a tunnel, a certificate, a handshake.
local function secure(conn, to, options, proxy)
  local ok, err = true, nil
  if proxy then
    ok, err = tunnel(conn, to.host, to.port, proxy.authorization)
  end
  if ok and options.ssl_client_cert then
    ok, err = conn.sock:setclientcert(options.ssl_client_cert, options.ssl_client_priv_key)
  elseif ok then
    conn.sock:setclientcert(nil, nil)
  end
  if not ok then
    return nil, err
  end
  return conn.sock:sslhandshake(options.ssl_reused_session, options.ssl_server_name or (to.host:gsub("^%[(.*)%]$", "%1")),
    options.ssl_verify ~= false, options.ssl_send_status_req)
end

-- true, nil, TLS session; nil, err.
function _M.open(conn, options)
  local to, err = check(options)
  if not to then
    return nil, err
  end
  reset(conn, to.host, to.port, to.scheme)
  local proxy
  proxy, err = proxy_for(options.proxy_opts or conn.proxy_opts, to.scheme, to.host)
  if proxy == nil then
    return nil, err
  end
  local ok
  ok, err = connect_peer(conn, to, options, proxy)
  if not ok then
    return nil, err
  end
  if to.scheme ~= "https" then
    conn.proxy_prefix = proxy and "http://" .. write.authority("http", to.host, to.port) or nil
    conn.proxy_authorization = proxy and proxy.authorization or nil
    return true
  elseif conn.sock:getreusedtimes() > 0 then
    return true
  end
  local session
  session, err = secure(conn, to, options, proxy)
  if not session then
    conn.sock:close()
    return nil, err
  end
  return true, nil, session
end

return _M
