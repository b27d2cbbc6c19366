-- The name guests know: require "cjson", with what OpenResty's fork of lua-cjson adds: arrays that
-- stay arrays. The reader is the library's; the writer is ours when arrays matter.

local json_encode = require "moongate.util.json_encode"
local raw = require "moongate.cjson"

local floor = math.floor
local EMPTY_ARRAY = json_encode.array({})

local function nothing() end

-- A switch as cjson's: called with a boolean it sets, and tells what is set.
local function switch(options, name)
  return function(on)
    if on ~= nil then
      options[name] = on and true or false
    end
    return options[name]
  end
end

-- The greatest index when all keys are indices, and how many there are; nil: an object.
local function greatest_index(value)
  local greatest, n = 0, 0
  for key in pairs(value) do
    if type(key) ~= "number" or key < 1 or key ~= floor(key) then
      return nil
    end
    greatest, n = key > greatest and key or greatest, n + 1
  end
  return greatest, n
end

-- What is an array is as lua-cjson has it: holes are null, unless they are many.
local function length_by(options)
  return function(value)
    if getmetatable(value) == json_encode.array_mt then
      return #value
    elseif next(value) == nil then
      return not options.empty_as_object and 0 or nil
    end
    local greatest, n = greatest_index(value)
    local ratio = options.sparse_ratio
    if not greatest or ratio == 0 or greatest <= n * ratio or greatest <= options.sparse_safe then
      return greatest
    elseif not options.sparse_convert then
      error("Cannot serialise table: excessively sparse array", 0)
    end
    return nil
  end
end

-- encode_sparse_array([convert[, ratio[, safe]]]): what is too sparse, and whether it becomes an object or an error.
local function sparse(options)
  return function(convert, ratio, safe)
    if convert ~= nil then
      options.sparse_convert = convert and true or false
    end
    options.sparse_ratio = ratio or options.sparse_ratio
    options.sparse_safe = safe or options.sparse_safe
    return options.sparse_convert, options.sparse_ratio, options.sparse_safe
  end
end

-- The settings of one instance apply to it alone, as in OpenResty.
local function encoder(options)
  local length = length_by(options)
  return function(value)
    local text = json_encode.encode(value, false, length)
    if options.escape_slash then
      text = text:gsub("/", "\\/") -- only strings hold one
    end
    return text
  end
end

local function quiet(encode)
  return function(value)
    local ok, text = pcall(encode, value)
    if ok then
      return text
    end
    return nil, text
  end
end

-- An instance over the library's one. safe: encode returns nil and the error.
local function extend(library, safe)
  local options = { empty_as_object = true, escape_slash = false, array_mt = false,
    sparse_convert = false, sparse_ratio = 2, sparse_safe = 10 }
  local decode, encode = library.decode, encoder(options)
  local out = setmetatable({}, { __index = library })
  out.array_mt = json_encode.array_mt
  out.empty_array_mt = json_encode.array_mt
  out.empty_array = EMPTY_ARRAY
  out.encode = safe and quiet(encode) or encode
  out.decode = function(text)
    if options.array_mt then
      local value, err = require("moongate.pdk.json").decode(text)
      if err and not safe then
        error(err, 2)
      end
      return value, err
    end
    return decode(text)
  end
  out.decode_array_with_array_mt = switch(options, "array_mt")
  out.encode_empty_table_as_object = switch(options, "empty_as_object")
  out.encode_escape_forward_slash = switch(options, "escape_slash")
  out.encode_sparse_array = sparse(options)
  out.encode_number_precision = nothing -- numbers are written exactly
  out.new = function()
    return extend(library.new(), safe)
  end
  return out
end

local M = extend(raw)

M.extend = extend
return M
