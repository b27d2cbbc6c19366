-- The name guests know: require "kong.tools.sandbox": code from the configuration, in an environment without
-- files, processes and modules. It keeps honest code in bounds; it is no defence against hostile code, and
-- the configuration is the operator's own. Unlike moongate.util.sandbox it lets code set globals, its own.

local _M = {
  -- What kong.conf's untrusted_lua says: code runs, in the sandbox.
  configuration = { enabled = true, sandbox_enabled = true, requires = {}, environment = {} },
}

local SAFE = [[_VERSION assert error ipairs next pairs pcall print rawequal rawget select
  setmetatable tonumber tostring type unpack xpcall bit coroutine math string table]]
local SAFE_OS = { "clock", "date", "difftime", "time" }

local function copy(value)
  if type(value) ~= "table" then
    return value
  end
  local out = {}
  for key, member in pairs(value) do
    out[key] = member
  end
  return out
end

local function safe_environment(extra)
  local env = {}
  for name in SAFE:gmatch("%S+") do
    env[name] = copy(_G[name])
  end
  env.bit = copy(require("bit"))
  env.string.dump = nil
  -- The metatable of strings is everybody's.
  env.getmetatable = function(value)
    return type(value) == "table" and getmetatable(value) or nil
  end
  env.rawset = function(t, key, value)
    if type(t) == "table" and getmetatable(t) == false then
      error("rawset: this table is the gateway's", 2)
    end
    return rawset(t, key, value)
  end
  env.os = {}
  for _, name in ipairs(SAFE_OS) do
    env.os[name] = os[name]
  end
  env.require = function(name)
    error("require '" .. tostring(name) .. "' not allowed within sandbox", 2)
  end
  for name, value in pairs(extra or {}) do
    env[name] = value
  end
  env._G = env
  return env
end

--- The function that the code is the body of, with globals kong, ngx and options.env; or raises with the
-- compiler's message.
function _M.sandbox(code, options)
  local name = "=" .. (options and options.chunk_name or "sandbox")
  local chunk, err = load(code, name, "t", safe_environment(options and options.env))
  if not chunk then
    error(err, 2)
  end
  return chunk
end

_M.parse = _M.sandbox

--- Does the code compile? true, or false and why. The code is not run.
function _M.validate(code)
  local chunk, err = load(code, "=sandbox", "t")
  if chunk then
    return true
  end
  return false, "error parsing function: " .. err
end

_M.validate_safe, _M.validate_function = _M.validate, _M.validate

return _M
