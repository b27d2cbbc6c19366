-- The name guests know: require "kong.tools.http": arguments as text, names of fields, directives.

local request = require("moongate.abi.request")
local args = require("moongate.pdk.args")

local _M = {}

local sort = table.sort

local function by_text(a, b)
  return tostring(a) < tostring(b)
end

local function encode_into(out, name, value, raw, bare_indexes)
  local escape = raw and tostring or args.escape
  if type(value) == "table" then
    local keys = {}
    for key in pairs(value) do
      keys[#keys + 1] = key
    end
    sort(keys, by_text)
    for _, key in ipairs(keys) do
      local inner = type(key) == "number" and bare_indexes and name or ("%s[%s]"):format(name, key)
      encode_into(out, inner, value[key], raw, bare_indexes)
    end
  elseif value == true then
    out[#out + 1] = escape(name)
  elseif value ~= false and value ~= nil then
    out[#out + 1] = escape(name) .. "=" .. escape(tostring(value))
  end
end

--- Text of arguments in the order of their names; arrays as name[1]=, or as name= with no_array_indexes.
function _M.encode_args(values, raw, no_array_indexes)
  local names, out = {}, {}
  for name in pairs(values) do
    names[#names + 1] = name
  end
  sort(names, by_text)
  for _, name in ipairs(names) do
    encode_into(out, tostring(name), values[name], raw, no_array_indexes)
  end
  return table.concat(out, "&")
end

function _M.decode_args(text)
  return (args.decode(text))
end

--- Is the client's connection https, or was it at a trusted proxy's? true, or false and why.
function _M.check_https(trusted_ip, allow_terminated)
  if request.scheme() == "https" then
    return true
  elseif not allow_terminated then
    return false
  elseif not trusted_ip then
    return false, "X-Forwarded-Proto of a peer that is not trusted"
  end
  return request.header("x-forwarded-proto") == "https"
end

--- The name when it may be a field's; or nil and why.
function _M.validate_header_name(name)
  if type(name) ~= "string" or name == "" then
    return nil, "no header name provided"
  elseif name:find("^[%w_-]+$") then
    return name
  end
  return nil, "bad header name '" .. name .. "', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
end

function _M.validate_cookie_name(name)
  if type(name) ~= "string" or name == "" then
    return nil, "no cookie name provided"
  elseif name:find("^[%w!#$%%&'*+.^_`|~-]+$") then
    return name
  end
  return nil, "bad cookie name '" .. name .. "', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
end

--- Directives of a field such as Cache-Control: {["max-age"] = 10, ["no-store"] = true}.
function _M.parse_directive_header(text)
  local out = {}
  if type(text) == "table" then
    text = table.concat(text, ", ")
  end
  for part in (text or ""):gmatch("[^,]+") do
    local name, value = part:match('^%s*([^=%s]+)%s*=%s*"?([^"]*)"?%s*$')
    if name then
      value = value:match("^(.-)%s*$")
      out[name:lower()] = tonumber(value) or value
    elseif part:find("^%s*[^=%s]+%s*$") then
      out[part:match("%S+"):lower()] = true
    end
  end
  return out
end

local MIME_TYPES = {
  ["text/plain"] = "text/plain; charset=utf-8",
  ["text/html"] = "text/html; charset=utf-8",
  ["application/json"] = "application/json; charset=utf-8",
  ["application/xml"] = "application/xml; charset=utf-8",
  ["application/grpc"] = "application/grpc",
}

--- The Content-Type to answer with for a media type; JSON's for what is not known.
function _M.get_mime_type(content_type)
  return MIME_TYPES[content_type] or MIME_TYPES["application/json"]
end

--- The first known media type that an Accept field names with the highest q.
function _M.get_response_type(accept)
  local best, best_q = "application/json", 0
  for part in (accept or ""):gmatch("[^,]+") do
    local mime = part:match("^%s*([^;%s]+)")
    local q = tonumber(part:match(";%s*q=([%d.]+)")) or 1
    if MIME_TYPES[mime] and q > best_q then
      best, best_q = mime, q
    end
  end
  return best
end

--- A field of a table of headers, whatever its case.
function _M.get_header(name, headers)
  if not headers then
    return request.header(name)
  end
  for key, value in pairs(headers) do
    if key:lower() == name:lower() then
      return value
    end
  end
end

return _M
