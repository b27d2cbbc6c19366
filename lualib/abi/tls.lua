-- Certificates, keys and stores as scripts hold them, and what a request uses of them upstream.
-- Objects are OpenSSL's (cdata), so those of libraries that call libcrypto through the FFI fit too.
-- Invariant: what is made here is freed by the collector.

local c = require "moongate.abi.c"

local C, ffi, str, text = c.C, c.ffi, c.str, c.text
local type, tostring, setmetatable = type, tostring, setmetatable

local _M = {}

local function owned(object, free)
  if object == nil then
    return nil, text(str[0])
  end
  return ffi.gc(object, free)
end

-- What chains and keys were made of.
local texts = setmetatable({}, { __mode = "k" })

local function parsed(object, free, bytes)
  local out, err = owned(object, free)
  if out then
    texts[out] = bytes
  end
  return out, err
end

-- A chain (leaf first) or a key from PEM or DER text; nil and why.
function _M.chain(bytes)
  return parsed(C.mg_tls_chain(bytes, #bytes, str), C.mg_tls_chain_free, bytes)
end

function _M.key(bytes)
  return parsed(C.mg_tls_key(bytes, #bytes, str), C.mg_tls_key_free, bytes)
end

-- The text that a chain or key was parsed from, or nil.
function _M.text_of(object)
  return object and texts[object]
end

local function is_pointer_to(object, pattern)
  return type(object) == "cdata" and tostring(object):find(pattern) ~= nil
end

function _M.is_chain(object)
  return is_pointer_to(object, "^cdata<struct stack_st[%w_]* %*>")
end

function _M.is_key(object)
  return is_pointer_to(object, "^cdata<struct evp_pkey_st %*>")
end

function _M.is_store(object)
  return is_pointer_to(object, "^cdata<struct x509_store_st %*>")
end

-- Chains to {key, certificate}: plugins parse once and set for each request.
local joined = setmetatable({}, { __mode = "k" })

-- The pair as one object; nil and why when they do not belong together.
function _M.certificate(chain, key)
  local known = joined[chain]
  if known and known.key == key then
    return known.certificate
  end
  local certificate, err = owned(C.mg_tls_cert(ffi.cast("struct stack_st_X509 *", chain), key, str),
    C.mg_tls_cert_free)
  if certificate then
    joined[chain] = { key = key, certificate = certificate }
  end
  return certificate, err
end

-- For the current request's way upstream.
function _M.set_upstream_certificate(certificate)
  return C.mg_up_tls_cert(certificate) == C.MG_OK
end

function _M.set_upstream_store(store)
  return C.mg_up_tls_store(store) == C.MG_OK
end

function _M.set_upstream_depth(depth)
  return C.mg_up_tls_depth(depth) == C.MG_OK
end

-- The client's handshake that is under way (certificate phase) ------------------------------------

local NONE_HERE = "no TLS handshake of a client is under way here"

-- true; or nil and why.
local function done(code)
  if code == C.MG_OK then
    return true
  end
  return nil, code == C.MG_NO_REQUEST and NONE_HERE or text(str[0])
end

local function as_chain(chain)
  return chain and ffi.cast("struct stack_st_X509 *", chain)
end

function _M.hello_clear_certificate()
  return done(C.mg_hello_clear_cert())
end

function _M.hello_chain(chain)
  return done(C.mg_hello_chain(as_chain(chain), str))
end

function _M.hello_key(key)
  return done(C.mg_hello_key(key, str))
end

-- authorities: a chain, or nil. depth: nil: they are only named to the client; a number: they judge, too.
function _M.hello_ask_client(authorities, depth)
  return done(C.mg_hello_ask_client(as_chain(authorities), depth and 1 or 0, depth or 0))
end

function _M.hello_no_resumption()
  return done(C.mg_hello_no_resumption())
end

return _M
