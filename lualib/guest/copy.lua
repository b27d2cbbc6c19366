-- Copies of modules for guests: tables of functions within tables of functions. What is assigned in a copy is in no other.
-- A metatable is copied with its table (it holds functions that find the request themselves) and locked. What is
-- locked already is nobody's to change and stays itself.
-- Not for tables of data that change: those would come apart.

local _M = {}

local get_metatable = debug.getmetatable

-- Is it a table that nobody can give another metatable, nor raw fields to guests?
local function is_locked(value)
  local meta = type(value) == "table" and get_metatable(value) or nil
  return meta ~= nil and meta.__metatable == false
end

_M.is_locked = is_locked

local copy

local function copy_metatable(meta, seen)
  if is_locked(meta) then
    return meta
  end
  local out = {}
  for key, member in next, meta do
    out[key] = key == "__index" and copy(member, seen) or member
  end
  out.__metatable = false
  return out
end

function copy(value, seen)
  if type(value) ~= "table" or is_locked(value) then
    return value
  end
  local out = seen[value]
  if out then
    return out
  end
  out = {}
  seen[value] = out
  for key, member in next, value do
    out[key] = copy(member, seen)
  end
  local meta = get_metatable(value)
  return meta and setmetatable(out, copy_metatable(meta, seen)) or out
end

-- A table that stands for the object: its methods are called with the object itself, its fields read as they are
-- then. For objects with a state, which a copy would not share. assign: what setting a field does; nil: it stays here.
function _M.proxy(object, assign)
  local made = {} -- not in the table itself: there they could be replaced
  return setmetatable({}, {
    __index = function(t, key)
      local member = made[key]
      if member ~= nil then
        return member
      end
      member = object[key]
      if type(member) == "table" and not is_locked(member) then
        member = _M.proxy(member, assign)
      elseif type(member) == "function" then
        local method = member
        member = function(self, ...)
          if self == t then
            return method(object, ...)
          end
          return method(self, ...)
        end
      else
        return member
      end
      made[key] = member
      return member
    end,
    __call = function(_, ...)
      return object(...)
    end,
    __newindex = assign,
    __metatable = false,
  })
end

-- A copy of the table, or the value itself when it is none.
function _M.of(value)
  return copy(value, {})
end

return _M
