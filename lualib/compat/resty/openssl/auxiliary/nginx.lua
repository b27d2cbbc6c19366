-- The name guests know: require "resty.openssl.auxiliary.nginx", which lua-resty-openssl asks for OpenSSL's handles of a
-- connection. The library's own follows nginx's pointers, which are not here: it would read wild memory.

local openssl = require "moongate.abi.openssl"
local request = require "moongate.abi.request"

local function of_request()
  local handle = request.tls_handle()
  if not handle then
    return nil, "no TLS on this connection"
  end
  return handle
end

local function of_socket(sock)
  return sock:getsslpointer()
end

local function converted(convert, get)
  return function(...)
    local handle, err = get(...)
    if not handle then
      return nil, err
    end
    return convert(handle)
  end
end

return {
  get_req_ssl = converted(openssl.ssl, of_request),
  get_req_ssl_ctx = converted(openssl.context, of_request),
  get_socket_ssl = converted(openssl.ssl, of_socket),
  get_socket_ssl_ctx = converted(openssl.context, of_socket),
}
