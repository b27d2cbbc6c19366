-- Lua expressions out of configuration files: compiled from text only, run in an environment of their
-- own with the safe half of the standard library and what the caller adds.
-- Not a jail for hostile code: it keeps an operator's snippet from changing the gateway by mistake.
-- Invariant: a snippet shares no table with the gateway or with another snippet, and sets no global of theirs.

local _M = {}

local REPEAT_MAX_BYTES = 1024 * 1024

local BASE = { "assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring",
  "type", "unpack", "xpcall" }
local OS = { "clock", "date", "difftime", "time" }

local function copy(source, names)
  local out = {}
  if names then
    for _, name in ipairs(names) do
      out[name] = source[name]
    end
  else
    for name, value in pairs(source) do
      out[name] = value
    end
  end
  return out
end

local function checked_rep(text, n, ...)
  if type(text) == "string" and type(n) == "number" and #text * n > REPEAT_MAX_BYTES then
    error("the result of string.rep would be over 1 MB", 2)
  end
  return string.rep(text, n, ...)
end

local function no_globals(_, name)
  error("cannot set the global '" .. tostring(name) .. "': declare it local", 2)
end

local function environment(extra, own_globals)
  local env = copy(_G, BASE)
  env.string, env.table, env.math, env.os = copy(string), copy(table), copy(math), copy(os, OS)
  env.string.dump, env.string.rep = nil, checked_rep
  for name, value in pairs(extra or {}) do
    env[name] = value
  end
  return setmetatable({}, { __index = env, __newindex = not own_globals and no_globals or nil, __metatable = false })
end

-- The function of a chunk, which sees the standard library and the members of `extra`; or nil and
-- what is wrong with it. name: for messages. own_globals: what it sets as a global is kept, for it alone.
function _M.compile(text, name, extra, own_globals)
  local chunk, err = load(text, "=" .. name, "t", environment(extra, own_globals))
  if chunk then
    -- Where code is not compiled, memory can be refused and every instruction be stopped.
    jit.off(chunk, true)
  end
  return chunk, err
end

-- The functions of a module that only read: those named get_... or is_....
function _M.readers(module)
  local out = {}
  for name, value in pairs(module) do
    if type(name) == "string" and type(value) == "function" and (name:find("^get_") or name:find("^is_")) then
      out[name] = value
    end
  end
  return out
end

return _M
