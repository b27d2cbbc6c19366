-- Decoding of JSON that we wrote or checked ourselves (entities, configurations): null members are
-- absent, empty arrays are empty tables. Not for bodies: they stay text (abi/exchange).

local cjson = require "moongate.cjson"

local reader = cjson.new()
local null = cjson.null

local _M = { null = null }

local function without_nulls(t)
  for key, value in pairs(t) do
    if value == null then
      t[key] = nil
    elseif type(value) == "table" then
      without_nulls(value)
    end
  end
  return t
end

-- The table (or scalar) of a JSON text; raises on bad JSON.
function _M.decode(text)
  local value = reader.decode(text)
  if type(value) == "table" then
    return without_nulls(value)
  end
  return value
end

return _M
