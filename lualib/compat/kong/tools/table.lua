-- The name guests know: require "kong.tools.table": copies, merges and questions about tables. Pure.

local new, clear = require("table.new"), require("table.clear")

local _M = { EMPTY = setmetatable({}, { __newindex = function()
  error("EMPTY is read only", 2)
end }) }

_M.new, _M.clear = new, clear

--- Packed arguments with their number in `n`, and back.
function _M.pack(...)
  return { n = select("#", ...), ... }
end

function _M.unpack(t, from, to)
  return unpack(t, from or 1, to or t.n or #t)
end

--- Is the value in the array?
function _M.table_contains(t, wanted)
  for _, value in pairs(t or {}) do
    if value == wanted then
      return true
    end
  end
  return false
end

--- Is it an array: keys 1 to n alone? ("fast": it has a first element, or none at all.)
function _M.is_array(t, mode)
  if type(t) ~= "table" then
    return false
  elseif mode == "fast" then
    return t[1] ~= nil or next(t) == nil
  end
  local n = 0
  for key in pairs(t) do
    n = n + 1
    if type(key) ~= "number" or key % 1 ~= 0 or key < 1 then
      return false
    end
  end
  return n == #t
end

function _M.shallow_copy(value)
  if type(value) ~= "table" then
    return value
  end
  local out = {}
  for key, member in pairs(value) do
    out[key] = member
  end
  return out
end

local function deep(value, keep_metatables, seen)
  if type(value) ~= "table" then
    return value
  elseif seen[value] then
    return seen[value]
  end
  local out = {}
  seen[value] = out
  for key, member in pairs(value) do
    out[deep(key, keep_metatables, seen)] = deep(member, keep_metatables, seen)
  end
  return keep_metatables and setmetatable(out, getmetatable(value)) or out
end

--- A copy of all levels, metatables included; with remove_metatables without them.
function _M.cycle_aware_deep_copy(value, remove_metatables)
  return deep(value, not remove_metatables, {})
end

function _M.deep_copy(value, copy_metatables)
  return deep(value, copy_metatables ~= false, {})
end

--- A new table with the keys of both; the second's win.
function _M.table_merge(first, second)
  local out = {}
  for key, value in pairs(first or {}) do
    out[key] = value
  end
  for key, value in pairs(second or {}) do
    out[key] = value
  end
  return out
end

--- Merges the second into a deep copy of the first, level by level.
function _M.cycle_aware_deep_merge(first, second)
  local out = _M.cycle_aware_deep_copy(first or {})
  for key, value in pairs(second or {}) do
    if type(value) == "table" and type(out[key]) == "table" then
      out[key] = _M.cycle_aware_deep_merge(out[key], value)
    else
      out[key] = _M.cycle_aware_deep_copy(value)
    end
  end
  return out
end

_M.deep_merge = _M.cycle_aware_deep_merge

--- Appends the second array's values to the first, which is returned.
function _M.concat(first, second)
  for _, value in ipairs(second or {}) do
    first[#first + 1] = value
  end
  return first
end

--- The value at a path of keys ("a.b" or {"a", "b"}), or nil.
function _M.table_path(t, path)
  if type(path) == "string" then
    local keys = {}
    for key in path:gmatch("[^.]+") do
      keys[#keys + 1] = key
    end
    path = keys
  end
  for _, key in ipairs(path) do
    if type(t) ~= "table" then
      return nil
    end
    t = t[key]
  end
  return t
end

--- Adds an error under a key: the second of a key makes an array.
function _M.add_error(errors, key, value)
  errors = errors or {}
  local known = errors[key]
  if known == nil then
    errors[key] = value
  elseif type(known) == "table" then
    known[#known + 1] = value
  else
    errors[key] = { known, value }
  end
  return errors
end

return _M
