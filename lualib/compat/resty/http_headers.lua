-- The name guests know: require "resty.http_headers": header fields whose names are found in any case.
-- Not a list of field lines: several lines of one name are an array of values under it.
-- Invariant: a name keeps the spelling it was first set with; pairs() gives that one.

local _M = { _VERSION = "0.17.2" }

--- An empty table of header fields.
function _M.new()
  local spelling = {} -- lower-case name -> the name in the table
  return setmetatable({}, {
    __index = function(fields, name)
      local stored = type(name) == "string" and spelling[name:lower()]
      return stored and rawget(fields, stored) or nil
    end,
    __newindex = function(fields, name, value)
      if type(name) ~= "string" then
        return rawset(fields, name, value)
      end
      local lower = name:lower()
      spelling[lower] = spelling[lower] or name
      rawset(fields, spelling[lower], value)
    end,
  })
end

return _M
