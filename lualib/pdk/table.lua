-- kong.table: tables made and emptied cheaply.

local new, clear = require("table.new"), require("table.clear")

local _M = {}

--- A table with room for so many array and hash elements. All phases.
_M.new = new

--- Removes all keys, keeping the memory. All phases.
_M.clear = clear

--- A new table with the keys of both; those of the second win. Either may be nil. All phases.
function _M.merge(first, second)
  local out = {}
  for key, value in pairs(first or {}) do
    out[key] = value
  end
  for key, value in pairs(second or {}) do
    out[key] = value
  end
  return out
end

return _M
