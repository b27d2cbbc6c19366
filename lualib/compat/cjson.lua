-- The name guests know: require "cjson", with what OpenResty's fork of lua-cjson adds: arrays that
-- stay arrays. The reader is the library's; the writer is ours when arrays matter.

local json_encode = require "moongate.util.json_encode"
local raw = require "moongate.cjson"

local EMPTY_ARRAY = json_encode.array({})

local function nothing() end

-- What the two modules share. `encode` raises or not, as they do.
local function extend(out, encode, decode)
  out.array_mt = json_encode.array_mt
  out.empty_array_mt = json_encode.array_mt
  out.empty_array = EMPTY_ARRAY
  out.encode = encode
  local keep = false
  out.decode = function(text)
    if keep then
      return require("moongate.pdk.json").decode(text)
    end
    return decode(text)
  end
  -- Of the whole module, as in OpenResty.
  out.decode_array_with_array_mt = function(on)
    if on ~= nil then
      keep = on
    end
    return keep
  end
  -- Ours never escapes "/" and writes numbers exactly.
  out.encode_escape_forward_slash = nothing
  out.encode_empty_table_as_object = nothing
  out.encode_number_precision = nothing
  return out
end

local M = extend(setmetatable({}, { __index = raw }), json_encode.encode, raw.decode)

M.extend = extend
M.new = function()
  local fresh = raw.new()
  return extend(setmetatable({}, { __index = fresh }), json_encode.encode, fresh.decode)
end

return M
