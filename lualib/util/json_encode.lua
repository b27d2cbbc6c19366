-- Deterministic JSON writer: sorted keys, whole integers, "/" left alone, empty arrays kept as [].
-- It is not a reader (cjson is) and not for the request path, where bodies stay in C buffers.
-- Invariant: equal values give equal bytes, whatever order their tables were built in.

local null = require("cjson").null

local concat = table.concat
local floor = math.floor
local format = string.format
local sort = table.sort

local MAX_DEPTH = 200
local EXACT_INTEGER = 2 ^ 63

local array_mt = setmetatable({ __name = "json.array" }, { __metatable = false, __newindex = function()
  error("the metatable of JSON arrays cannot be changed", 2)
end })

local ESCAPES = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f",
  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local M = { null = null, array_mt = array_mt }

--- Marks a table as a JSON array, so that it is written as `[]` even when empty. Returns it.
function M.array(list)
  return setmetatable(list or {}, array_mt)
end

function M.is_array(value)
  return type(value) == "table" and (getmetatable(value) == array_mt or value[1] ~= nil)
end

local function escape(char)
  return ESCAPES[char] or format("\\u%04x", char:byte())
end

-- %c is what C's iscntrl says: 0 to 31 and 127. A class of few items is tried on every byte.
local SPECIAL = '[%c"\\]'

local function encode_string(value)
  if value:find(SPECIAL) then
    value = value:gsub(SPECIAL, escape)
  end
  return '"' .. value .. '"'
end

-- Member names come again and again: their texts with quotes and colon, up to a bound.
local KEYS_MAX, KEY_MAX_BYTES = 1024, 64
local key_texts, n_key_texts = {}, 0

local function encode_key(name)
  local text = key_texts[name]
  if not text then
    text = encode_string(name) .. ":"
    if n_key_texts < KEYS_MAX and #name <= KEY_MAX_BYTES then
      key_texts[name] = text
      n_key_texts = n_key_texts + 1
    end
  end
  return text
end

local function encode_number(value)
  if value ~= value or value == math.huge or value == -math.huge then
    error("JSON has no NaN and no infinity", 0)
  end
  if floor(value) == value and value < EXACT_INTEGER and value > -EXACT_INTEGER then
    return format("%.0f", value)
  end
  local short = format("%.14g", value)
  return tonumber(short) == value and short or format("%.17g", value)
end

local encode_value
local empty_as_array, length_of = false, nil -- of the encoding under way

-- How many elements it has as an array; nil: it is an object.
local function own_length(value)
  return (M.is_array(value) or empty_as_array and next(value) == nil) and #value or nil
end

local function encode_array(value, n, out, depth)
  out[#out + 1] = "["
  for i = 1, n do
    if i > 1 then
      out[#out + 1] = ","
    end
    local item = value[i]
    encode_value(item == nil and null or item, out, depth)
  end
  out[#out + 1] = "]"
end

local function sorted_keys(value)
  local keys, text = {}, {}
  for key in pairs(value) do
    local name = type(key) == "number" and encode_number(key) or key
    if type(name) ~= "string" then
      error("a JSON object key must be a string, not a " .. type(key), 0)
    end
    if text[name] ~= nil then
      error("two keys of one JSON object are both written \"" .. name .. "\"", 0)
    end
    keys[#keys + 1] = name
    text[name] = key
  end
  sort(keys)
  return keys, text
end

local function encode_object(value, out, depth)
  local keys, original = sorted_keys(value)
  out[#out + 1] = "{"
  for i = 1, #keys do
    local name = keys[i]
    if i > 1 then
      out[#out + 1] = ","
    end
    out[#out + 1] = encode_key(name)
    encode_value(value[original[name]], out, depth)
  end
  out[#out + 1] = "}"
end

local function encode_table(value, out, depth)
  if depth >= MAX_DEPTH then
    error("JSON deeper than " .. MAX_DEPTH .. " levels, or a table inside itself", 0)
  end
  local n = length_of(value)
  if n then
    return encode_array(value, n, out, depth + 1)
  end
  return encode_object(value, out, depth + 1)
end

function encode_value(value, out, depth)
  local kind = type(value)
  if kind == "string" then
    out[#out + 1] = encode_string(value)
  elseif kind == "number" then
    out[#out + 1] = encode_number(value)
  elseif kind == "boolean" then
    out[#out + 1] = value and "true" or "false"
  elseif value == null then
    out[#out + 1] = "null"
  elseif kind ~= "table" then
    error("JSON cannot hold a " .. kind, 0)
  else
    encode_table(value, out, depth)
  end
end

--- Encodes a value. Raises for what JSON cannot say (functions, NaN, cycles): that is misuse.
-- empty_array: a table without entries is written as [], not as {}. length(table): how many elements it has as an array, nil
-- for an object; else who begins with a first element is one.
function M.encode(value, empty_array, length)
  local out = {}
  empty_as_array, length_of = empty_array == true, length or own_length
  encode_value(value, out, 0)
  return concat(out)
end

return setmetatable(M, { __call = function(_, value) return M.encode(value) end })
