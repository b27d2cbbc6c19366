-- Modules of unit mode: a second set of the PDK, of ngx and of what plugins require, with globals of their own
-- over the fake abi. Files are compiled once; forget() makes plugins' modules run anew.
-- Not protection from hostile code. Invariant: modules of C and pure ones of ours are the process's own.

local host = require "moongate.spec.host"

-- Modules of ours without state of requests, shared with the process.
local SHARED = { "^moongate%.schema", "^moongate%.util%.", "^moongate%.config", "^moongate%.cjson", "^moongate%.abi%.crypto$",
  "^moongate%.abi%.regex$", "^moongate%.abi%.json$", "^moongate%.abi%.strbuf$",
  "^moongate%.abi%.file$", "^moongate%.native$", "^moongate%.spec" }
-- Kept over forget(): what is ours and holds nothing of a plugin.
local KEPT = { "^moongate%.abi", "^moongate%.pdk", "^moongate%.ngx", "^moongate%.runloop", "^resty%.core", "^kong%.db%.",
  "^kong%.constants$", "^kong%.meta$" }

local function any(patterns, name)
  for _, pattern in ipairs(patterns) do
    if name:find(pattern) then
      return true
    end
  end
  return false
end

-- The Lua chunk of a module, or nil when it is one to be shared.
local function find_chunk(name)
  if any(SHARED, name) or package.preload[name] then
    return nil
  end
  local plugin = name:match("^kong%.plugins%.(.+)$") or name:match("^moongate%.plugins%.(.+)$")
  local path = plugin and host.find_plugin_module(plugin)
  if path then
    return assert(loadfile(path))
  end
  for i = 2, #package.loaders do
    local found = package.loaders[i](name)
    if type(found) == "function" then
      return debug.getinfo(found, "S").what == "main" and found or nil
    end
  end
  return nil
end

-- replaced: modules given by name. Returns require, env, forget.
local function new(replaced)
  local chunks, loaded = {}, {}
  local env = setmetatable({}, { __index = _G })
  env._G = env

  local function load_module(name)
    local chunk = chunks[name]
    if chunk == nil then
      chunk = find_chunk(name) or false
      if chunk then
        setfenv(chunk, env)
      end
      chunks[name] = chunk
    end
    if not chunk then
      return require(name)
    end
    local value = chunk(name)
    return value == nil and (loaded[name] or true) or value
  end

  function env.require(name)
    local value = replaced[name]
    if value == nil then
      value = loaded[name]
    end
    if value == nil then
      value = load_module(name)
      loaded[name] = value
    end
    return value
  end

  -- Modules of plugins and libraries are made anew when they are next required; globals they set go.
  local function forget()
    for name in pairs(loaded) do
      if not any(KEPT, name) then
        loaded[name] = nil
      end
    end
    local kong, ngx, req, co = env.kong, env.ngx, env.require, env.coroutine
    for name in pairs(env) do
      env[name] = nil
    end
    env._G, env.kong, env.ngx, env.require, env.coroutine = env, kong, ngx, req, co
  end

  return env, forget
end

return { new = new }
