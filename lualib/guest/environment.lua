-- The globals of a plugin from an operator's file: Lua, `ngx` and `kong` in tables of its own, so that what it assigns to is
-- nobody else's; no ffi, no processes, no bytecode, no debug interface, no way to the gateway's own tables.
-- Not which files get it (runloop/code, boot.lua) nor snippets' (snippets). Not a jail for hostile code.
-- Invariant: no table in here is one that the gateway's own code reads.

local buffer = require "moongate.guest.buffer"
local copy = require "moongate.guest.copy"
local missing = require "moongate.ngx.missing"

local _M = {}

local BASE = { "_VERSION", "assert", "error", "ipairs", "next", "pairs", "pcall", "print", "rawequal", "rawget", "rawlen",
  "select", "setmetatable", "tonumber", "tostring", "type", "unpack" }
local OS = { "clock", "date", "difftime", "getenv", "remove", "rename", "time", "tmpname" }
local IO = { "lines", "open", "tmpfile", "type" } -- not what belongs to the process: its standard streams
local COLLECT = { collect = true, count = true, step = true, isrunning = true }
-- Of modules by name; the rest of moongate.* and jit.* too.
local REFUSED = { ffi = true, jit = true, debug = true, ["thread.exdata"] = true,
  ["thread.exdata2"] = true }
-- Modules that we bring: a plugin gets copies.
local OURS = { "^kong%.", "^ngx$", "^ngx%.", "^resty%.core", "^cjson$", "^cjson%.safe$", "^table%.%a+$", "^bit$" }
local NO_PROGRAMS = "programs are started by plugins that the setting trusted_plugins names, and with lua_pipe on"

local real_getfenv, real_setfenv, real_getmetatable, real_load = getfenv, setfenv, getmetatable, load
local getinfo, traceback = debug.getinfo, debug.traceback
local collect, real_xpcall, real_rawset = collectgarbage, xpcall, rawset

local function pick(source, names)
  local out = {}
  for _, name in ipairs(names) do
    out[name] = source[name]
  end
  return out
end

local function is_ours(name)
  for _, pattern in ipairs(OURS) do
    if name:find(pattern) then
      return true
    end
  end
  return false
end

-- Handlers do not run for the watchdog's error: they could hold up what must end.
local function safe_xpcall(stopped)
  return function(fn, handler, ...)
    return real_xpcall(fn, type(handler) == "function" and function(err)
      if stopped() then
        return err
      end
      return handler(err)
    end or handler, ...)
  end
end

_M.safe_xpcall = safe_xpcall

local function safe_getmetatable(value)
  -- Those of strings, of C's objects and of sockets are everybody's.
  local meta = type(value) == "table" and real_getmetatable(value)
  return meta and not meta.__gateway and meta or nil
end

local function safe_rawset(t, key, value)
  if type(t) == "table" and real_getmetatable(t) == false then
    error("rawset: this table is the gateway's", 2)
  end
  return real_rawset(t, key, value)
end

local function safe_collectgarbage(what, n)
  if what ~= nil and not COLLECT[what] then
    error("collectgarbage: '" .. tostring(what) .. "' is not allowed for plugins from files", 2)
  end
  return collect(what or "collect", n)
end

local function safe_getinfo(at, what, more)
  if type(at) == "number" then
    at = at + 1 -- this function
  end
  local info = type(at) == "thread" and getinfo(at, what, more) or getinfo(at, what)
  if info then
    info.func = nil
  end
  return info
end

-- getfenv and setfenv know the plugin's own environments only.
local function add_fenv(env)
  local own = setmetatable({ [env] = true }, { __mode = "k" })
  local function of(fn)
    if type(fn) == "number" and fn > 0 then
      fn = fn + 2
    end
    return real_getfenv(fn == nil and 3 or fn)
  end
  function env.getfenv(fn)
    local found = of(fn)
    return own[found] and found or env
  end
  function env.setfenv(fn, new)
    if not own[of(fn)] or type(new) ~= "table" then
      error("setfenv: only for the plugin's own functions", 2)
    end
    own[new] = true
    return real_setfenv(type(fn) == "number" and fn > 0 and fn + 1 or fn, new)
  end
end

-- Text only, and never over the gateway's globals.
local function add_load(env)
  function env.load(chunk, name, _, own)
    return real_load(chunk, name, "t", own or env)
  end
  function env.loadstring(text, name)
    return real_load(text, name or text, "t", env)
  end
  function env.loadfile(path, _, own)
    local file, err = io.open(path, "rb")
    if not file then
      return nil, "cannot open " .. tostring(err)
    end
    local text = file:read("*a")
    file:close()
    return real_load(text, "@" .. path, "t", own or env)
  end
  function env.dofile(path)
    return assert(env.loadfile(path))()
  end
end

local function add_require(env, name, standard)
  -- Module's name -> what the plugin sees.
  local copies = { ["string.buffer"] = copy.of(buffer), ["ngx.pipe"] = missing.module("ngx.pipe", "spawn", NO_PROGRAMS) }
  local preload, given = {}, {} -- what the plugin has put into package.preload and package.loaded
  -- What is there without anything being loaded.
  local function at_hand(module)
    for _, list in ipairs({ given, standard, copies }) do
      if list[module] ~= nil then
        return list[module]
      end
    end
  end
  local function get(module)
    if type(module) ~= "string" then
      error("bad argument #1 to 'require' (string expected, got " .. type(module) .. ")", 3)
    end
    local seen = at_hand(module)
    if seen ~= nil then
      return seen
    elseif preload[module] then
      seen = preload[module](module)
      given[module] = seen == nil or seen
      return given[module]
    elseif REFUSED[module] or module:find("^jit%.") or module:find("^moongate") then
      error(("plugin \"%s\": require '%s' is not allowed for plugins from files (setting trusted_plugins)"):format(
        name, module), 3)
    end
    seen = require(module)
    if is_ours(module) and not module:find("^kong%.plugins%." .. name:gsub("%p", "%%%0") .. "%.") then
      seen = copy.of(seen)
      copies[module] = seen
    end
    return seen
  end
  function env.require(module)
    return (get(module))
  end
  local loaded = package.loaded
  env.package = { path = package.path, cpath = package.cpath, config = package.config, preload = preload, loaders = {},
    loaded = setmetatable({}, { __newindex = given, __index = function(_, module)
      if given[module] ~= nil then
        return given[module]
      end
      local ok, seen = pcall(get, module)
      return loaded[module] ~= nil and ok and seen or nil
    end }) }
end

local OBJECTS = { "cache", "core_cache", "db", "dns", "tracing", "configuration" } -- of kong, with a state
_M.OBJECTS = OBJECTS

-- `kong` for one plugin. Entities are one table for all requests: it gets copies.
local function pdk_of(kong)
  local flat = {}
  for name, member in pairs(kong) do
    flat[name] = member
  end
  for _, name in ipairs(OBJECTS) do
    flat[name] = nil
  end
  local pdk = copy.of(flat)
  for _, name in ipairs(OBJECTS) do
    pdk[name] = kong[name] and copy.proxy(kong[name])
  end
  for space, names in pairs({ router = { "get_route", "get_service" }, client = { "get_consumer", "get_credential" } }) do
    for _, name in ipairs(names) do
      local get = pdk[space][name]
      pdk[space][name] = function()
        return copy.of(get())
      end
    end
  end
  return pdk
end

-- A table of globals for the plugin of that name. tools: {plain=, stopped=, warn_global=} (abi/guard, boot.lua).
function _M.new(name, tools)
  local env = pick(_G, BASE)
  env.string, env.math, env.bit, env.coroutine = copy.of(string), copy.of(math), copy.of(bit), copy.of(coroutine)
  env.table, env.os, env.io = copy.of(table), pick(os, OS), pick(io, IO)
  env.string.dump = nil
  env.table.concat = tools.plain(table.concat)
  env.jit = pick(jit, { "version", "version_num", "os", "arch" })
  env.debug = { traceback = traceback, getinfo = safe_getinfo }
  env.xpcall, env.getmetatable, env.rawset = safe_xpcall(tools.stopped), safe_getmetatable, safe_rawset
  env.collectgarbage = safe_collectgarbage
  add_fenv(env)
  add_load(env)
  env.ngx, env.kong = copy.of(ngx), pdk_of(kong)
  env._G = env
  add_require(env, name, { _G = env, string = env.string, table = env.table, math = env.math, bit = env.bit,
    coroutine = env.coroutine, os = env.os, io = env.io, ngx = env.ngx })
  return setmetatable(env, { __newindex = tools.set_global, __metatable = false })
end

return _M
