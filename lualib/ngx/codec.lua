-- Encodings of ngx: base64, digests, CRC, URI escapes, arguments. Pure functions.

local crypto = require "moongate.abi.crypto"

local _M = {}

local MAX_ARGS = 100

-- Bytes that escape_uri escapes: type 2 (default) in a component, type 0 in a whole URI.
local COMPONENT = "[^%w%-%._~!%*'%(%)]"
local WHOLE = "[%z\1-\32#%%%?\127-\255]"
-- And those of a path that may be escaped already.
local PATH = "[^%w%-%._~!%*'%(%)/:%?#@&=%+%$,;%%%[%]]"

local function percent(char)
  return ("%%%02X"):format(char:byte())
end

-- What these functions take: nil is the empty text.
local function text_of(s)
  if type(s) == "string" then
    return s
  end
  return s and tostring(s) or ""
end

local function escape_uri(s, kind)
  if kind ~= nil and kind ~= 0 and kind ~= 2 then
    error("\"type\" " .. tostring(kind) .. " is not supported: use 0 (a whole URI) or 2 (a component)", 2)
  end
  return (text_of(s):gsub(kind == 0 and WHOLE or COMPONENT, percent))
end

function _M.escape_path(s)
  return (text_of(s):gsub(PATH, percent))
end

local function unescape_uri(s)
  s = text_of(s):gsub("+", " ")
  return (s:gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

local function encode_pair(key, value, out)
  local kind = type(value)
  if kind == "table" then
    for _, inner in ipairs(value) do
      encode_pair(key, inner, out)
    end
  elseif value == true then
    out[#out + 1] = key
  elseif value ~= false and value ~= nil then
    if kind ~= "string" and kind ~= "number" then
      error("attempt to use " .. kind .. " as query arg value", 4)
    end
    out[#out + 1] = key .. "=" .. escape_uri(value)
  end
end

local function encode_args(args)
  if type(args) ~= "table" then
    error("bad argument #1 to 'encode_args' (table expected, got " .. type(args) .. ")", 2)
  end
  local out = {}
  for key, value in pairs(args) do
    if type(key) ~= "string" then
      error("attempt to use a non-string key in the \"args\" option table", 2)
    end
    encode_pair(escape_uri(key), value, out)
  end
  return table.concat(out, "&")
end

local function add_arg(out, key, value)
  local there = out[key]
  if there == nil then
    out[key] = value
  elseif type(there) == "table" then
    there[#there + 1] = value
  else
    out[key] = { there, value }
  end
end

-- Table of arguments, and "truncated" when there were more than max (nil: 100, 0: no limit).
local function decode_args(text, max)
  local out, n = {}, 0
  max = max or MAX_ARGS
  for pair in text:gmatch("[^&]+") do
    if max > 0 and n >= max then
      return out, "truncated"
    end
    local key, value = pair:match("^([^=]*)=(.*)$")
    if not key then
      add_arg(out, unescape_uri(pair), true)
      n = n + 1
    elseif key ~= "" then
      add_arg(out, unescape_uri(key), unescape_uri(value))
      n = n + 1
    end
  end
  return out
end

_M.escape_uri, _M.unescape_uri = escape_uri, unescape_uri
_M.encode_args, _M.decode_args = encode_args, decode_args

function _M.fill(ngx)
  ngx.escape_uri, ngx.unescape_uri = escape_uri, unescape_uri
  ngx.encode_args, ngx.decode_args = encode_args, decode_args

  function ngx.encode_base64(s, no_padding)
    return crypto.encode_base64(text_of(s), no_padding)
  end
  function ngx.decode_base64(s)
    if type(s) ~= "string" then
      error("string argument only", 2)
    end
    return crypto.decode_base64(s)
  end
  function ngx.md5(s)
    return crypto.hex(crypto.md5(text_of(s)))
  end
  function ngx.md5_bin(s)
    return crypto.md5(text_of(s))
  end
  function ngx.sha1_bin(s)
    return crypto.sha1(text_of(s))
  end
  function ngx.hmac_sha1(key, s)
    return crypto.hmac("sha1", key, s)
  end
  -- As decode_base64, but passing over what is not of the alphabet (line ends of MIME).
  function ngx.decode_base64mime(s)
    if type(s) ~= "string" then
      error("string argument only", 2)
    end
    return crypto.decode_base64((s:gsub("[^%w%+/]", "")))
  end
  function ngx.crc32_short(s)
    return crypto.crc32(text_of(s))
  end
  ngx.crc32_long = ngx.crc32_short

  local QUOTES = {
    ["\0"] = "\\0", ["\n"] = "\\n", ["\r"] = "\\r", ["\\"] = "\\\\", ["'"] = "\\'", ['"'] = '\\"',
    ["\26"] = "\\Z",
  }
  function ngx.quote_sql_str(s)
    return "'" .. text_of(s):gsub('[%z\n\r\\\'"\26]', QUOTES) .. "'"
  end
end


return _M
