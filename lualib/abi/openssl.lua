-- OpenSSL's handles of our connections as FFI pointers, for libraries that call OpenSSL themselves. Not for our own code.
-- Invariant: a handle is good until its connection closes.

local c = require "moongate.abi.c"

local ffi = c.ffi

ffi.cdef [[
typedef struct ssl_st SSL;
typedef struct ssl_ctx_st SSL_CTX;
SSL_CTX *SSL_get_SSL_CTX(const SSL *ssl);
]]

local ssl_type = ffi.typeof("SSL *")

local _M = {}

-- SSL * of what request.tls_handle or a cosocket's getsslpointer gave.
function _M.ssl(handle)
  return ffi.cast(ssl_type, handle)
end

-- SSL_CTX * it was made in.
function _M.context(handle)
  return ffi.load("ssl").SSL_get_SSL_CTX(ffi.cast(ssl_type, handle))
end

return _M
