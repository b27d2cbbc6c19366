-- What OpenResty's LuaJIT takes from Lua 5.2 and Debian's is built without: table.pack, table.unpack, rawlen, and
-- `__pairs` and `__ipairs` of tables. `__len` of tables is not among it: that is the VM's own instruction.
-- Invariant: pairs(t) of a table without `__pairs` gives the builtin `next`, so that loops stay specialised and compiled.

local _M = {}

local metatable_of = debug.getmetatable
local builtin_pairs, builtin_ipairs, rawget, type = pairs, ipairs, rawget, type

local function pairs_of(t)
  local meta = type(t) == "table" and metatable_of(t)
  local own = meta and rawget(meta, "__pairs")
  if own then
    local step, state, first = own(t)
    return step, state, first
  end
  return builtin_pairs(t)
end

local function ipairs_of(t)
  local meta = type(t) == "table" and metatable_of(t)
  local own = meta and rawget(meta, "__ipairs")
  if own then
    local step, state, first = own(t)
    return step, state, first
  end
  return builtin_ipairs(t)
end

local function rawlen(v)
  local kind = type(v)
  if kind ~= "table" and kind ~= "string" then
    error("bad argument #1 to 'rawlen' (table or string expected)", 2)
  end
  return #v
end

local function honours_pairs()
  local own = function() end
  return builtin_pairs(setmetatable({}, { __pairs = function() return own end })) == own
end

-- Fills in what is missing. `env` is the table of globals.
function _M.install(env)
  env.rawlen = env.rawlen or rawlen
  env.table.pack = env.table.pack or function(...)
    return { n = select("#", ...), ... }
  end
  env.table.unpack = env.table.unpack or unpack
  if not honours_pairs() then
    env.pairs, env.ipairs = pairs_of, ipairs_of
  end
end

return _M
