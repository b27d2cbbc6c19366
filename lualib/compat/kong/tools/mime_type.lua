-- The name guests know: require "kong.tools.mime_type". Pure.

local _M = {}

local function lower_or_nil(text)
  return text and text:lower()
end

--- Type, subtype and parameters of "text/html; charset=utf-8"; nil when it is none.
function _M.parse_mime_type(text)
  local kind, subtype, rest = text:match("^%s*([%w!#$&^_.+*-]+)/([%w!#$&^_.+*-]+)%s*(.*)$")
  if not kind or (rest ~= "" and rest:sub(1, 1) ~= ";") then
    return nil
  end
  local parameters = {}
  for name, value in rest:gmatch(';%s*([^=;%s]+)%s*=%s*("?[^;]*)') do
    value = value:match('^"(.-)"%s*$') or value:match("^(.-)%s*$")
    parameters[name:lower()] = name:lower() == "q" and tonumber(value) or value
  end
  return lower_or_nil(kind), lower_or_nil(subtype), parameters
end

--- Does the media range `this` ({type, subtype}) hold `other`?
function _M.includes(this, other)
  return this.type == "*" or this.type == other.type and (this.subtype == "*" or this.subtype == other.subtype)
end

return _M
