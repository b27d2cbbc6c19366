-- `moongate plugin check DIR`: what is wrong with plugins before they run, and which names they use that this
-- gateway does not have. Reads and loads them; runs none of their phases.
-- Invariant: every finding names a file, a line where there is one, and what to do.

local check = require "moongate.config.check"
local cures = require "moongate.config.cures"
local handlers = require "moongate.runloop.handlers"
local host = require "moongate.spec.host"
local lfs = require "lfs"
local node = require "moongate.abi.node"
local phase_use = require "moongate.cli.phase_use"
local schema_check = require "moongate.cli.schema_check"
local shdict = require "moongate.abi.shdict"
local source = require "moongate.cli.source"

local HELP = [[
Usage: moongate plugin check DIR
DIR: a plugin (handler.lua, schema.lua), or a directory that holds kong/plugins/NAME, plugins/NAME or NAME.
Exit code: 0 nothing but warnings, 1 errors, 2 wrong use.
]]

local PHASES = { init_worker = true, configure = true, certificate = true, rewrite = true, access = true, response = true,
  header_filter = true, body_filter = true, log = true, init_worker_by_lua = true }
local FOREIGN_PHASES = { preread = "TCP streams are not proxied", ws_handshake = "WebSocket phases are Kong Enterprise's",
  ws_client_frame = "WebSocket phases are Kong Enterprise's", ws_upstream_frame = "WebSocket phases are Kong Enterprise's",
  ws_close = "WebSocket phases are Kong Enterprise's" }

-- Said of what only trusted code may use.
local UNTRUSTED = "; a plugin from a file has it only when the setting trusted_plugins names the plugin"

-- Pattern in the bare source -> level, what and what to do.
local NAMES = {
  { "ngx%.location%.capture", "error",
    "ngx.location.capture: there are no subrequests; ask over ngx.socket.tcp or a client library" },
  { "ngx%.exec%f[%W]", "error", "ngx.exec: there are no internal locations; change the request with kong.service.request" },
  { "ngx%.run_worker_thread", "error", "ngx.run_worker_thread: there is no thread pool for Lua" },
  { "kong%.db%.[%w_]+:insert%f[%W]", "error", "kong.db writes: the configuration is read-only; keep data in ngx.shared or Redis" },
  { "kong%.db%.[%w_]+:update", "error", "kong.db writes: the configuration is read-only; keep data in ngx.shared or Redis" },
  { "kong%.db%.[%w_]+:upsert", "error", "kong.db writes: the configuration is read-only; keep data in ngx.shared or Redis" },
  { "kong%.db%.[%w_]+:delete", "error", "kong.db writes: the configuration is read-only; keep data in ngx.shared or Redis" },
  { "kong%.db%.[%w_]+:truncate", "error", "kong.db writes: the configuration is read-only; keep data in ngx.shared or Redis" },
  { "%f[%w_]__len%f[^%w_]", "warning", "__len: the Lua here does not ask it of tables; call a function instead of #t" },
  { "string%.dump", "warning", "string.dump: bytecode is of this LuaJIT only and is not checked when loaded" },
  { "os%.execute", "warning", "os.execute: it stops the whole worker until the command ends" .. UNTRUSTED },
  { "io%.popen", "warning", "io.popen: reading from it stops the whole worker" .. UNTRUSTED },
  { "%f[%w_]io%.std%a+", "warning", "io.stdin, stdout, stderr: use kong.log" .. UNTRUSTED },
  { "%f[%w_]io%.write", "warning", "io.write: use kong.log" .. UNTRUSTED },
  { "%f[%w_]debug%.sethook", "warning", "debug.sethook: the gateway's own hook counts what plugins use" .. UNTRUSTED },
  { "os%.exit", "error", "os.exit: it ends the worker with all its requests" },
  { "collectgarbage%s*%(%s*%)", "warning", "collectgarbage(): a full collection stops the whole worker" },
}

local BLOCKING = { socket = "ngx.socket.tcp", ["socket.http"] = "resty.http", ["ssl.https"] = "resty.http",
  ltn12 = "strings", posix = "kong.* and ngx.*" }

-- Names under kong. and ngx. that are of the request, or that anybody may add to.
local OPEN = { ["ngx.ctx"] = true, ["ngx.var"] = true, ["ngx.arg"] = true, ["ngx.header"] = true, ["ngx.status"] = true,
  ["ngx.shared"] = true, ["ngx.headers_sent"] = true, ["ngx.is_subrequest"] = true, ["kong.ctx"] = true, ["kong.db"] = true,
  ["kong.configuration"] = true, ["kong.log"] = true }

local Findings = {}
Findings.__index = Findings

function Findings.add(self, level, file, line, text)
  self[level] = self[level] + 1
  self.list[#self.list + 1] = { level = level, file = file, line = line or 0, text = text }
end

-- Is there an error with these words?
function Findings.has(self, words)
  for _, item in ipairs(self.list) do
    if item.level == "error" and item.text:find(words, 1, true) then
      return true
    end
  end
  return false
end

local function exists(path)
  return lfs.attributes(path, "mode") ~= nil
end

local function lua_files(dir, out)
  for name in lfs.dir(dir) do
    local path = dir .. "/" .. name
    local mode = lfs.attributes(path, "mode")
    if mode == "directory" and name:sub(1, 1) ~= "." then
      lua_files(path, out)
    elseif mode == "file" and name:find("%.lua$") then
      out[#out + 1] = path
    end
  end
  table.sort(out)
  return out
end

-- ---- source ----

local function known(path)
  local at = path:match("^kong") and kong or ngx
  local done = path:match("^%a+")
  for name in path:gmatch("%.([%w_]+)") do
    if OPEN[done] or type(at) ~= "table" then
      return true
    end
    local below = done .. "." .. name
    if OPEN[below] then
      return true
    end
    at, done = at[name], below
    if at == nil then
      return false
    end
  end
  return true
end

local function check_names(found, file, bare)
  local flagged = {}
  for _, entry in ipairs(NAMES) do
    source.each(bare, entry[1], function(line)
      found:add(entry[2], file, line, entry[3])
      flagged[line] = true
    end)
  end
  local seen = {}
  for _, root in ipairs({ "kong", "ngx" }) do
    source.each(bare, "%f[%w_.]" .. root .. "(%.[%a_][%w_%.]*[%w_])", function(line, rest)
      local path = root .. rest
      if not flagged[line] and not seen[path] and not known(path) then
        seen[path] = true
        found:add("error", file, line, path .. ": this gateway has no such name")
      end
    end)
  end
end

local function check_dictionaries(found, file, code)
  local function look(line, name)
    if not shdict.find(name) then
      found:add("error", file, line, ("ngx.shared.%s: there is no such dictionary; use ngx.shared.moongate or name it in "
        .. "lua_shared_dicts"):format(name))
    end
  end
  source.each(code, "ngx%.shared%.([%a_][%w_]*)", look)
  source.each(code, "ngx%.shared%[%s*[\"']([^\"']+)[\"']", look)
end

local function can_find(name)
  if package.loaded[name] ~= nil or package.preload[name] then
    return true
  end
  local plugin = name:match("^kong%.plugins%.(.+)$")
  if plugin and host.find_plugin_module(plugin) then
    return true
  end
  for i = 2, #package.loaders do
    local ok, result = pcall(package.loaders[i], name)
    if not ok or type(result) == "function" then
      return true
    end
  end
  return false
end

local function check_requires(found, file, code)
  source.each(code, "%f[%w_]require%s*%(?%s*[\"']([%w_%.%-]+)[\"']", function(line, name)
    if BLOCKING[name] then
      found:add("warning", file, line,
        ("require \"%s\": it stops the whole worker while it waits; use %s"):format(name, BLOCKING[name]))
    elseif name == "ffi" then
      found:add("warning", file, line, "require \"ffi\": a mistake there ends the worker" .. UNTRUSTED)
    elseif name == "jit" or name == "debug" or name:find("^jit%.") then
      found:add("warning", file, line, ("require \"%s\": it changes the whole worker"):format(name) .. UNTRUSTED)
    elseif not can_find(name) then
      found:add("error", file, line, ("require \"%s\": there is no such module: install it, or name where it is in the "
        .. "setting lua_path; docs/libraries.md says which there are"):format(name))
    end
  end)
end

local function check_source(found, file)
  local text = host.read_file(file)
  local chunk, err = loadstring(text, "@" .. file)
  if not chunk then
    found:add("error", file, tonumber(err:match(":(%d+):")), "syntax: " .. err:gsub("^.-:%d+: ", ""))
    return
  end
  local code, bare = source.strip(text)
  check_names(found, file, bare)
  check_dictionaries(found, file, code)
  check_requires(found, file, code)
  if file:find("handler%.lua$") then
    phase_use.check(bare, function(line, what)
      found:add("error", file, line, what)
    end)
    phase_use.check_self(bare, function(line, what)
      found:add("warning", file, line, what)
    end)
  end
end

-- luacheck, when the machine has it.
local function run_luacheck(found, files)
  local quoted = {}
  for i, file in ipairs(files) do
    quoted[i] = "'" .. file:gsub("'", "'\\''") .. "'"
  end
  local pipe = io.popen("command -v luacheck >/dev/null && luacheck -q --no-color --no-config --formatter plain --std luajit "
    .. "--globals kong ngx --no-unused-args --no-max-line-length " .. table.concat(quoted, " ") .. " 2>/dev/null")
  if not pipe then
    return
  end
  for line in pipe:lines() do
    local file, at, text = line:match("^(.-):(%d+):%d+: (.*)$")
    if file and not text:find("expected") then -- syntax errors are reported already
      found:add("warning", file, tonumber(at), "luacheck: " .. text)
    end
  end
  pipe:close()
end

-- ---- handler and schema ----

local function check_phases(found, file, handler)
  local has = false
  for name, value in pairs(handler) do
    if type(value) == "function" and type(name) == "string" then
      has = has or PHASES[name]
      if FOREIGN_PHASES[name] then
        found:add("warning", file, nil, ("phase %s never runs: %s"):format(name, FOREIGN_PHASES[name]))
      elseif not PHASES[name] then
        for phase in pairs(PHASES) do
          if cures.distance(name, phase) <= 2 then
            found:add("warning", file, nil, ("'%s' is no phase: did you mean '%s'?"):format(name, phase))
          end
        end
      end
    end
  end
  if not has then
    found:add("warning", file, nil, "the plugin has no phase: it does nothing")
  end
  if handler.response and (handler.header_filter or handler.body_filter) then
    found:add("warning", file, nil, "response beside header_filter or body_filter: Kong refuses that; put it all into response")
  end
end

local function check_handler(found, name, dir)
  local file = dir .. "/handler.lua"
  local handler, err = handlers.get(name)
  if not handler then
    if not (err:find("module '", 1, true) and found:has("there is no such module")) then
      found:add("error", file, tonumber(err:match("handler%.lua:(%d+)")), (err:gsub("\n.*$", "")))
    end
    handler = package.loaded["kong.plugins." .. name .. ".handler"]
  end
  if type(handler) == "table" then
    check_phases(found, file, handler)
  end
end

local function check_schema(found, name, dir)
  local file = dir .. "/schema.lua"
  if not exists(file) then
    found:add("error", file, nil, "there is no schema.lua: it says what `config` may hold (an empty record is fine)")
    return
  end
  local ok, definition = xpcall(require, function(err)
    return tostring(err)
  end, "kong.plugins." .. name .. ".schema")
  if not ok then
    found:add("error", file, tonumber(definition:match("schema%.lua:(%d+)")), "it does not load: " .. definition)
    return
  end
  local schema, err = check.plugin_schema(definition)
  if not schema then
    found:add("error", file, nil, err)
    return
  end
  schema_check.check(definition, function(level, text)
    found:add(level, file, nil, text)
  end)
  if definition.name ~= name then
    found:add("warning", file, nil,
      ("its name is '%s', its directory's '%s': the directory's counts"):format(tostring(definition.name), name))
  end
end

local DEAD_FILES = {
  ["api.lua"] = "there is no Admin API to add to", ["migrations"] = "there is no database to migrate",
  ["status_api.lua"] = "the status listener cannot be added to" }

local function check_plugin(name, dir)
  local found = setmetatable({ error = 0, warning = 0, list = {} }, Findings)
  local files = lua_files(dir, {})
  for _, file in ipairs(files) do
    check_source(found, file)
  end
  if found.error == 0 or not found.list[1].text:find("^syntax") then
    check_handler(found, name, dir)
    check_schema(found, name, dir)
  end
  for file, text in pairs(DEAD_FILES) do
    if exists(dir .. "/" .. file) then
      found:add("warning", dir .. "/" .. file, nil, "it is not used: " .. text)
    end
  end
  run_luacheck(found, files)
  return found
end

-- ---- finding them ----

local function absolute(dir)
  return dir:sub(1, 1) == "/" and dir or lfs.currentdir() .. "/" .. dir:gsub("^%./", "")
end

local function plugins_in(dir, out)
  if not exists(dir) then
    return
  end
  for name in lfs.dir(dir) do
    if exists(dir .. "/" .. name .. "/handler.lua") then
      out[#out + 1] = { name = name, dir = dir .. "/" .. name }
    end
  end
end

local function find_plugins(dir)
  local out = {}
  if exists(dir .. "/handler.lua") then
    local full = dir == "." and lfs.currentdir() or absolute(dir)
    out[1] = { name = full:match("([^/]+)$"), dir = dir }
    host.add_plugin_dir((full:match("^(.*)/[^/]+$")))
  else
    plugins_in(dir .. "/kong/plugins", out)
    plugins_in(dir .. "/plugins", out)
    plugins_in(dir, out)
    host.add_plugin_dir(absolute(dir))
  end
  table.sort(out, function(a, b)
    return a.name < b.name
  end)
  return out
end

local function print_findings(name, found)
  table.sort(found.list, function(a, b)
    if a.file ~= b.file then
      return a.file < b.file
    elseif a.line ~= b.line then
      return a.line < b.line
    end
    return a.text < b.text
  end)
  for _, item in ipairs(found.list) do
    io.stdout:write(("%s:%s %s: %s\n"):format(item.file, item.line > 0 and item.line .. ":" or "", item.level, item.text))
  end
  local handler = package.loaded["kong.plugins." .. name .. ".handler"]
  local facts = type(handler) == "table"
    and (" (version %s, priority %s)"):format(tostring(handler.VERSION), tostring(handler.PRIORITY))
  io.stdout:write(("%s: %d errors, %d warnings%s\n"):format(name, found.error, found.warning, facts or ""))
end

return function(program, args)
  local dir = args[1]
  if dir == "--help" or dir == "-h" then
    io.stdout:write(HELP)
    return 0
  elseif not dir or #args > 1 then
    io.stderr:write(HELP)
    return 2
  end
  host.program = program
  dir = dir:gsub("(.)/+$", "%1")
  local plugins = exists(dir) and find_plugins(dir) or {}
  if #plugins == 0 then
    io.stderr:write(("moongate plugin check: %s holds no plugin (a directory with handler.lua)\n"):format(dir))
    return 2
  end
  host.install_search()
  local errors = 0
  for _, plugin in ipairs(plugins) do
    local found = check_plugin(plugin.name, plugin.dir)
    print_findings(plugin.name, found)
    errors = errors + found.error
  end
  node.update_time()
  return errors > 0 and 1 or 0
end
