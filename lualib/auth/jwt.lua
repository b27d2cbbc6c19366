-- JSON Web Tokens (RFC 7519) in the compact form: taken apart, and their times checked.
-- Not signatures: who holds the keys checks them (plugins/jwt). Pure.
-- Invariant: nothing a token says about itself chooses how it is verified; `header.alg` is only compared.

local cjson = require "cjson.safe"

local match, type, upper = string.match, type, string.upper

local _M = {}

local ALGORITHMS = {
  HS256 = true, HS384 = true, HS512 = true, RS256 = true, RS384 = true, RS512 = true, ES256 = true,
  ES384 = true, ES512 = true, PS256 = true, PS384 = true, PS512 = true, EdDSA = true,
}

local function object(text, decode_base64)
  text = decode_base64(text, true)
  local value = text and cjson.decode(text)
  return type(value) == "table" and value or nil
end

local function check_header(header)
  local kind = header.typ
  if kind ~= nil and (type(kind) ~= "string" or upper(kind) ~= "JWT") then
    return nil, "invalid typ"
  elseif type(header.alg) ~= "string" or not ALGORITHMS[header.alg] then
    return nil, "invalid alg"
  elseif header.crit ~= nil then
    return nil, "invalid crit" -- RFC 7515, 4.1.11: extensions that must be understood, and are not
  end
  return true
end

--- {header =, claims =, signed = the text that was signed, signature = bytes}, or nil and why the text
-- is no token. decode_base64: function(text, true for the URL alphabet) -> bytes or nil.
function _M.parse(text, decode_base64)
  local signed, head, body, tail = match(text, "^(([%w_-]+)%.([%w_-]+))%.([%w_-]*)$")
  if not signed then
    return nil, "invalid JSON"
  end
  local header, claims = object(head, decode_base64), object(body, decode_base64)
  if not header or not claims then
    return nil, "invalid JSON"
  end
  local ok, err = check_header(header)
  if not ok then
    return nil, err
  end
  local signature = decode_base64(tail, true)
  if not signature then
    return nil, "invalid signature"
  end
  return { header = header, claims = claims, signed = signed, signature = signature }
end

local check = {}

function check.exp(value, now)
  return value <= now and "token expired" or nil
end

function check.nbf(value, now)
  return value > now and "token not valid yet" or nil
end

--- Nothing when the named claims ("exp", "nbf") hold at `now` (Unix seconds), or {claim = why}.
function _M.check_times(claims, names, now)
  local failed
  for i = 1, #names do
    local name = names[i]
    local value = claims[name]
    local why = type(value) ~= "number" and "must be a number" or check[name](value, now)
    if why then
      failed = failed or {}
      failed[name] = why
    end
  end
  return failed
end

--- Does the token stay valid for longer than `seconds`? One without an end does.
function _M.lives_longer(claims, seconds, now)
  local exp = claims.exp
  return type(exp) ~= "number" or exp - now > seconds
end

--- The token of an Authorization value, "Bearer <token>", or nil.
function _M.bearer(value)
  return match(value, "^%s*[Bb][Ee][Aa][Rr][Ee][Rr]%s+(.-)%s*$")
end

return _M
