-- The one file that C loads into a worker's Lua state: where modules are found, coroutines that may
-- wait, the globals `ngx` and `kong`, and the functions that C calls. Not plugins (runloop).
-- Invariant: after this file, `require` and coroutines let what runs in them wait.

local native = require "moongate.native"

local share = native.share()
local WAIT, LEAVE = native.sentinels()

-- ---- coroutines ----
-- What a C function yields in order to wait is passed down to C through the coroutines of Lua code.

local resume, yield, create, status =
  coroutine.resume, coroutine.yield, coroutine.create, coroutine.status

local function pass(co, ok, first, ...)
  if ok and (first == WAIT or first == LEAVE) and status(co) == "suspended" then
    return pass(co, resume(co, yield(first)))
  end
  return ok, first, ...
end

function coroutine.resume(co, ...) -- luacheck: ignore 122
  return pass(co, resume(co, ...))
end

local function results(ok, ...)
  if ok then
    return ...
  end
  error((...), 0)
end

function coroutine.wrap(fn) -- luacheck: ignore 122
  local co = create(fn)
  return function(...)
    return results(pass(co, resume(co, ...)))
  end
end

-- ---- modules ----

-- The C library under names of ours; at the end `cjson` becomes what guests expect of it.
package.loaded["moongate.cjson"] = require "cjson"
package.loaded["moongate.cjson.safe"] = require "cjson.safe"

local function readable(path)
  local file = io.open(path, "r")
  if file then
    file:close()
    return true
  end
end

-- First of dir/stem.lua, dir/stem/init.lua over the directories; else the list of what was tried.
local function find(dirs, stem)
  local tried = {}
  for _, dir in ipairs(dirs) do
    for _, tail in ipairs({ ".lua", "/init.lua" }) do
      local path = dir .. "/" .. stem .. tail
      if readable(path) then
        return path
      end
      tried[#tried + 1] = "\n\tno file '" .. path .. "'"
    end
  end
  return nil, table.concat(tried)
end

local function load_first(dirs, stem)
  local path, tried = find(dirs, stem)
  if not path then
    return tried
  end
  local chunk, err = loadfile(path)
  if not chunk then
    error(err, 0)
  end
  return chunk
end

local function parent(path)
  return path:match("^(.*)/[^/]*$") or "."
end

-- Directories that may hold <name>/handler.lua, in order.
local function plugin_dirs()
  local dirs = {}
  local function add(dir)
    dirs[#dirs + 1] = dir
  end
  for _, dir in ipairs(native.setting("plugin_dirs") or {}) do
    add(dir .. "/plugins")
    add(dir .. "/kong/plugins")
    add(dir)
  end
  for _, path in ipairs(native.setting("config_paths") or {}) do
    add(path .. "/plugins")
    add(parent(path) .. "/plugins")
  end
  add(share .. "/plugins")
  return dirs
end

local PLUGIN_DIRS = plugin_dirs()
local OWN = { share .. "/lualib" }
local COMPAT = { share .. "/lualib/compat" }

-- Libraries that users bring too: ours come last, so that a copy in lua_path (or installed) stands in their place.
local LAST = { ["resty.http"] = true, ["resty.http_headers"] = true }

local function slashes(name)
  return (name:gsub("%.", "/"))
end

-- A plugin's module: as it was read with the configuration, else from its directory.
local function load_plugin(stem)
  local code = package.loaded["moongate.runloop.code"]
  local chunk = code and code.load(stem)
  if chunk then
    return chunk
  end
  local path, tried = find(PLUGIN_DIRS, stem)
  if not path then
    return tried
  elseif path:sub(1, #share + 9) == share .. "/plugins/" then
    return assert(loadfile(path))
  end
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return require("moongate.runloop.confine").chunk(stem, text, path)
end

-- Modules of ours, plugins, and the module names of OpenResty and Kong that we provide ourselves.
local function search_own(name)
  local rest = name:match("^moongate%.(.+)$")
  if rest then
    local plugin = rest:match("^plugins%.(.+)$")
    return plugin and load_plugin(slashes(plugin)) or load_first(OWN, slashes(rest))
  elseif name == "moongate" then
    return load_first(OWN, "init")
  end
  rest = name:match("^kong%.plugins%.(.+)$")
  if rest then
    return load_plugin(slashes(rest))
  end
  if LAST[name] then
    return nil
  elseif name:match("^kong%.") or name:match("^resty%.") or name:match("^ngx%.") then
    return load_first(COMPAT, slashes(name))
  end
end

-- Debian installs some of OpenResty's libraries as nginx.X. Both names are one module: twice loaded, its FFI types would be
-- declared twice.
local function search_nginx(name)
  local rest = name:match("^resty%.(.+)$")
  if not rest then
    return nil
  end
  local debian = "nginx." .. rest
  if package.searchpath(debian, package.path) then
    return function()
      return require(debian)
    end
  end
  return "\n\tno module '" .. debian .. "'"
end

-- Names of C libraries that guests know and that are ours when they are not installed.
local function search_compat(name)
  return load_first(COMPAT, slashes(name))
end

-- The plugin that is the Admin API (lualib/admin): nobody's file stands in its place.
package.preload["kong.plugins.moongate-admin.handler"] = function()
  return require("moongate.admin.handler")
end

do
  local extra = native.setting("lua_path") or ""
  local prefix = native.prefix()
  local paths = {}
  if extra ~= "" then
    paths[1] = extra
  end
  if prefix ~= "" then
    paths[#paths + 1] = prefix .. "/?.lua;" .. prefix .. "/?/init.lua"
  end
  paths[#paths + 1] = package.path
  package.path = table.concat(paths, ";")
  table.insert(package.loaders, 2, search_own)
  package.loaders[#package.loaders + 1] = search_nginx
  package.loaders[#package.loaders + 1] = search_compat
end

-- `require` in Lua, so that a module's main chunk may wait (C's cannot be yielded across).
local LOADING = newproxy()
local loaded, loaders = package.loaded, package.loaders

local function loader_of(name)
  local preload = package.preload[name]
  if preload then
    return preload
  end
  local tried = {}
  for _, search in ipairs(loaders) do
    local found = search(name)
    if type(found) == "function" then
      return found
    elseif type(found) == "string" then
      tried[#tried + 1] = found
    end
  end
  error("module '" .. name .. "' not found:" .. table.concat(tried), 3)
end

function require(name) -- luacheck: ignore
  if type(name) ~= "string" then
    error("bad argument #1 to 'require' (string expected, got " .. type(name) .. ")", 2)
  end
  local module = loaded[name]
  if module == LOADING then
    error("loop or previous error loading module '" .. name .. "'", 2)
  elseif module ~= nil and module ~= false then
    return module
  end
  local load = loader_of(name)
  loaded[name] = LOADING
  local ok, result = xpcall(load, function(err)
    return type(err) == "string" and err or err
  end, name)
  if not ok then
    loaded[name] = nil
    error(result, 0)
  end
  if result ~= nil then
    loaded[name] = result
  elseif loaded[name] == LOADING then
    loaded[name] = true
  end
  return loaded[name]
end

require("moongate.lua52").install(_G)

-- Building so large a string is never part of compiled code: there no memory can be refused.
string.rep = native.plain(string.rep) -- luacheck: ignore 122
string.gsub = load_first(OWN, "guest/gsub")() -- luacheck: ignore 122
-- The methods of strings are the gateway's too.
getmetatable("").__metatable = false

-- ---- errors ----

local task = require "moongate.abi.task"
local phase = require "moongate.abi.phase"
local route = require "moongate.abi.route"

local LOG_ERR, LOG_WARN = 4, 5

-- Text of an error value, whatever its __tostring does.
local function text_of(err)
  if type(err) == "string" then
    return err
  end
  local ok, text = pcall(tostring, err)
  return ok and type(text) == "string" and text or "(an error value of type " .. type(err) .. " without text)"
end

local function place()
  local record = task.current()
  if not record then
    return ""
  end
  local at = phase.has_request() and route.route()
  return ('plugin "%s", %s phase: (route "%s") '):format(record.name, phase.name(phase.current()),
    at and (at.name or at.id) or "(none)")
end

-- Errors that no handler sees: memory that was refused, an error in an error's text.
local NO_HANDLER = { ["not enough memory"] = true, ["error in error handling"] = true }

-- Message handler of every chain: says which plugin in which phase, for which route, and where.
-- Called again with what xpcall returned, `after`: nil, unless no handler has seen the error.
local function on_error(err, after)
  if after then
    return NO_HANDLER[err] and place() .. err or nil
  end
  return place() .. debug.traceback(text_of(err), 2)
end

-- Runs a chain (or a timer's function) in the coroutine that C made; true when it ended well.
local function run(fn, ...)
  local ok, err = xpcall(fn, on_error, ...)
  if not ok then
    native.log(LOG_ERR, "[lua] " .. (on_error(err, true) or text_of(err)))
  end
  return ok
end

-- ---- globals ----

_G.ngx = require "moongate.ngx"

local runloop = require "moongate.runloop"
runloop.on_error = on_error

for _, name in ipairs({ "cjson", "cjson.safe" }) do
  loaded[name] = load_first(COMPAT, slashes(name))(name)
end

do
  local found = find(OWN, "pdk")
  if found then
    _G.kong = require "moongate.pdk"
  end
  local warned = {}
  local function set_global(t, name, value)
    rawset(t, name, value)
    if not warned[name] and phase.current() ~= 0 and phase.current() ~= phase.INIT_WORKER then
      warned[name] = true
      native.log(LOG_WARN, debug.traceback("[lua] writing a global Lua variable ('" .. tostring(name)
        .. "') which may lead to race conditions between concurrent requests", 2))
    end
  end
  setmetatable(_G, { __newindex = set_global })
  require("moongate.runloop.confine").set_global = set_global
end

return {
  run = run,
  on_error = on_error,
  install = runloop.install,
  start = runloop.start,
}
