-- The client's request, as received but for what plugins changed in its headers (one mutable set:
-- it goes upstream). Every function raises "no request found" without a request.
-- Not the upstream's target or the body: abi/exchange.

local c = require "moongate.abi.c"
local headers = require "moongate.abi.headers"

local C, native, str, num, text = c.C, c.native, c.str, c.num, c.text

local _M = {}

local function str_of(which)
  return function()
    local code = C.mg_request_str(which, str)
    if code == 0 then
      return text(str[0])
    elseif code == -2 then
      error("no request found", 2)
    end
  end
end

local function num_of(which)
  return function()
    local code = C.mg_request_num(which, num)
    if code == 0 then
      return num[0]
    elseif code == -2 then
      error("no request found", 2)
    end
  end
end

local function bool_of(which)
  local get = num_of(which)
  return function()
    return get() == 1
  end
end

_M.str_of, _M.num_of, _M.bool_of = str_of, num_of, bool_of

_M.method = str_of(C.MG_METHOD)
_M.path = str_of(C.MG_PATH)             -- normalised
_M.raw_path = str_of(C.MG_RAW_PATH)     -- as sent, without query
_M.query = str_of(C.MG_QUERY)           -- without "?"; nil: there was none
_M.raw_target = str_of(C.MG_TARGET)     -- as sent
_M.scheme = str_of(C.MG_SCHEME)
_M.host = str_of(C.MG_HOST)             -- lower case, without port
_M.port = num_of(C.MG_PORT)             -- of the listener
_M.http_minor = num_of(C.MG_MINOR)
_M.id = str_of(C.MG_ID)
_M.start_time = num_of(C.MG_START_TIME) -- wall clock, seconds
_M.client_ip = str_of(C.MG_CLIENT_IP)   -- after trusted_ips
_M.client_port = num_of(C.MG_CLIENT_PORT)
_M.peer_ip = str_of(C.MG_PEER_IP)
_M.peer_port = num_of(C.MG_PEER_PORT)
_M.trusted = bool_of(C.MG_TRUSTED)
_M.forwarded_proto = str_of(C.MG_FORWARDED_PROTO)
_M.forwarded_host = str_of(C.MG_FORWARDED_HOST)
_M.forwarded_port = num_of(C.MG_FORWARDED_PORT)
_M.forwarded_path = str_of(C.MG_FORWARDED_PATH)
_M.prefix = str_of(C.MG_PREFIX)         -- what strip_path takes away, or nil
_M.server_addr = str_of(C.MG_SERVER_ADDR)
_M.server_port = num_of(C.MG_SERVER_PORT)
_M.bytes_in = num_of(C.MG_BYTES_IN)
_M.content_length = num_of(C.MG_CONTENT_LENGTH) -- nil: not given
_M.connection_requests = num_of(C.MG_CONNECTION_REQUESTS) -- how many this connection has brought
_M.aborted = bool_of(C.MG_ABORTED)      -- the client has gone

_M.header = headers.getter(C.MG_FROM_CLIENT)
_M.headers = headers.lister(C.MG_FROM_CLIENT)
_M.header_count = headers.counter(C.MG_FROM_CLIENT)
_M.header_lines = headers.line_counter(C.MG_FROM_CLIENT) -- header_lines(name) -> lines of that name
_M.set_header = headers.setter(C.MG_FROM_CLIENT)
_M.add_header = headers.adder(C.MG_FROM_CLIENT)
_M.clear_header = headers.clearer(C.MG_FROM_CLIENT)

-- The method that goes upstream. true, or nil and why.
_M.set_method = native.set_method
-- true, version, cipher, sni on a TLS connection; false otherwise.
_M.tls = native.tls
_M.tls_client_chain = native.tls_client_chain -- the client's certificates as PEM, or nil
_M.tls_client_verify = native.tls_client_verify -- "NONE", "SUCCESS", "FAILED:reason"
_M.set_tls_client_verify = native.set_tls_client_verify
_M.tls_handle = native.tls_handle -- OpenSSL's SSL * of the connection, or nil
-- {unnamed = {[0] = whole, ...}, named = {name = text}} of the route's regex path, or nil.
_M.captures = native.captures

return _M
