-- Writes JSON text from pieces that are JSON text already (raw spans) and from plain Lua strings.
-- It is NOT an encoder of Lua tables (that is util/json_encode): nothing here guesses whether an
-- empty table is [] or {}.
-- Invariant: every function takes and returns valid JSON text; only quote takes any bytes.

local cjson = require "cjson"

local concat = table.concat
local format = string.format
local gsub = string.gsub

local _M = {}

local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
for code = 0, 31 do
  local char = string.char(code)
  ESCAPES[char] = ESCAPES[char] or format("\\u%04x", code)
end

-- A Lua string as a JSON string. "/" stays as it is; bytes above 126 pass untouched.
function _M.quote(value)
  return '"' .. gsub(value, '[%c"\\]', ESCAPES) .. '"'
end

-- A number as JSON text: integers keep all digits up to 2^53. nil for NaN and infinities.
function _M.number(value)
  if value ~= value or value == math.huge or value == -math.huge then
    return nil
  end
  if value % 1 == 0 and value > -2 ^ 53 and value < 2 ^ 53 then
    return format("%.0f", value)
  end
  return format("%.14g", value)
end

-- Member names as JSON text with their colon. Bounded, because clients choose some of the names.
local names, names_left = {}, 512

local function member_name(name)
  local raw = names[name]
  if not raw then
    raw = _M.quote(name) .. ":"
    if names_left > 0 then
      names[name] = raw
      names_left = names_left - 1
    end
  end
  return raw
end

-- An object from name, raw, name, raw, ...; a pair whose raw is false is left out.
function _M.object(members)
  local out, size = {}, 0
  for i = 1, #members, 2 do
    if members[i + 1] then
      size = size + 1
      out[size] = member_name(members[i]) .. members[i + 1]
    end
  end
  return "{" .. concat(out, ",") .. "}"
end

-- An array from a list of raw elements.
function _M.array(elements)
  return "[" .. concat(elements, ",") .. "]"
end

-- The Lua string a raw JSON string stands for; nil when raw is no string. Where a lone surrogate
-- half stands, which JSON allows and UTF-8 cannot say, the surrogates become U+FFFD.
function _M.unquote(raw)
  if not raw or raw:byte(1) ~= 34 then
    return nil
  end
  if not raw:find("\\", 1, true) then
    return raw:sub(2, -2)
  end
  local ok, value = pcall(cjson.decode, "[" .. raw .. "]")
  if ok then
    return value[1]
  end
  raw = raw:gsub("(\\+)u(%x%x%x%x)", function(slashes, hex)
    if #slashes % 2 == 1 and hex:find("^[dD][89a-fA-F]") then
      return slashes .. "ufffd"
    end
  end)
  ok, value = pcall(cjson.decode, "[" .. raw .. "]")
  return ok and value[1] or nil
end

-- Raw JSON strings glued to one raw string, with the raw text `between` (no quotes) between them.
function _M.join_strings(raws, between)
  local inner = {}
  for i = 1, #raws do
    inner[i] = raws[i]:sub(2, -2)
  end
  return '"' .. concat(inner, between or "") .. '"'
end

return _M
