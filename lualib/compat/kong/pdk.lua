-- The name guests know: require "kong.pdk". The PDK is moongate.pdk; all of its namespaces are made once.

local kong = require("moongate.pdk")

local _M = { major_version = 1 }

--- The PDK in a table: `self` when one is given, else the global kong.
function _M.new(_, self)
  if type(self) ~= "table" then
    return kong
  end
  for name, namespace in pairs(kong) do
    self[name] = namespace
  end
  return self
end

return _M
