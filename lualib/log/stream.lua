-- Sends text over TCP (TLS) or UDP, for log and metrics plugins: handlers for queues.
-- Not HTTP (http/client), not the queue.
-- Invariant: entries that were sent are taken out of the array, so that a retry begins with the first
-- that was not; over TCP a batch is one write, so entries of a broken one may arrive twice.

local socket = require "moongate.abi.socket"

local _M = {}

local DATAGRAM_MAX_BYTES = 65507

local function where(at, what)
  return ("%s:%s: %s"):format(at.host, at.port, tostring(what))
end

local function open(sock, at)
  local pool = ("log:%s:%d:%s:%s"):format(at.host, at.port, tostring(at.tls), at.sni or "")
  local ok, err = sock:connect(at.host, at.port, pool, 4)
  if ok and at.tls and sock:getreusedtimes() == 0 then
    ok, err = sock:sslhandshake(at.sni or at.host, at.ssl_verify ~= false)
  end
  return ok, err
end

-- Writes text. at: host, port, timeout_ms, keepalive_ms, tls, sni, ssl_verify. true, or nil and why.
function _M.tcp(at, text)
  local sock = socket.tcp()
  sock:settimeouts(at.timeout_ms, at.timeout_ms, at.timeout_ms)
  local ok, err = open(sock, at)
  if ok then
    ok, err = sock:send(text)
  end
  if not ok then
    sock:close()
    return nil, where(at, err)
  end
  sock:setkeepalive(at.keepalive_ms or 60000, 4)
  return true
end

local function remove_first(entries, n)
  local left = #entries - n
  for i = 1, #entries do
    entries[i] = i <= left and entries[i + n] or nil
  end
end

-- Sends each entry as a datagram. at: host, port, timeout_ms; or path, of a unix socket.
function _M.udp(at, entries)
  local sock = socket.udp()
  local ok, err
  if at.path then
    ok, err = sock:setpeername("unix:" .. at.path)
  else
    ok, err = sock:setpeername(at.host, at.port)
  end
  local sent = 0
  while ok and sent < #entries do
    ok, err = sock:send(entries[sent + 1])
    sent = ok and sent + 1 or sent
  end
  sock:close()
  if ok then
    return true
  end
  remove_first(entries, sent)
  return nil, at.path and at.path .. ": " .. tostring(err) or where(at, err)
end

-- Does a text fit into one datagram?
function _M.fits_datagram(text)
  return #text <= DATAGRAM_MAX_BYTES
end

return _M
