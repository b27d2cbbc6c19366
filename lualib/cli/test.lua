-- `moongate test`: busted inside the gateway's own process, in a task that may wait, with the globals and
-- modules that plugins have. Our options are taken out, the others are busted's.
-- Invariant: specs may use sockets, sleeps and timers anywhere but inside gsub callbacks and table.sort.

local host = require "moongate.spec.host"
local logs = require "moongate.spec.logs"
local node = require "moongate.abi.node"
local wait = require "moongate.abi.wait"

local HELP = [[
Usage: moongate test [OPTION...] [DIR|FILE...]      (./spec without any)
Runs specs (files *_spec.lua, written for busted) inside the gateway: ngx, kong, cosockets, timers are there.

  --tap                 results as TAP              --junit FILE   results as JUnit XML into FILE
  -o, --output NAME     another output of busted's  -v, --verbose  more about errors
  --plugin-dir DIR      where plugins are (again for more); found by themselves: directories above the specs
                        that hold plugins/, kong/plugins/ or handler.lua
  --coverage            which lines of the plugins ran; --coverage-file FILE writes it line by line (LCOV)
  --timeout SECONDS     ends the suite when one test, or its setup, takes longer (60; 0: never)
  --watch               runs again when a file has changed
  --filter PATTERN, -t, --tags TAGS, --exclude-tags TAGS, --shuffle, --repeat N, --list, -p PATTERN:
                        as in busted

In specs: local gw = require "moongate.spec" (docs/plugin-tutorial.md); "spec.helpers" serves specs written for Kong.
Exit code: 0 all passed, 1 some failed or nothing was found, 2 wrong use.
]]

local DEFAULT_TIMEOUT_S = 60

local EXIT = {} -- marks the error that os.exit raises here

local VALUED = { ["--plugin-dir"] = "dirs", ["--junit"] = "junit", ["--coverage-file"] = "coverage_file",
  ["--timeout"] = "timeout" }
local BUSTED_VALUED = {}
for name in ([[-p --pattern --exclude-pattern -e -o --output -C --directory -f --config-file -t --tags --exclude-tags --filter
  --filter-out -m --lpath --cpath -r --run --repeat --seed --lang --loaders --helper -Xoutput -Xhelper]]):gmatch("%S+") do
  BUSTED_VALUED[name] = true
end
local OUTPUTS = { tap = "TAP", junit = "junit" }

local function note(opts, name, value)
  if name == "dirs" then
    table.insert(opts.dirs, value)
  else
    opts[name] = value
  end
end

-- Takes argument i, and what follows it; the last index taken, or nil and what is wrong.
local function take(opts, args, i)
  local arg = args[i]
  local name, value = arg:match("^(%-%-[%w-]+)=(.*)$")
  name = name or arg
  local field = VALUED[name]
  if field then
    if not value then
      i, value = i + 1, args[i + 1]
    end
    if not value then
      return nil, name .. " needs a value"
    end
    note(opts, field, value)
  elseif arg == "--help" or arg == "-h" or arg == "--tap" or arg == "--coverage" or arg == "--watch" then
    opts[arg:gsub("^%-+", "")] = true
  elseif BUSTED_VALUED[name] then
    table.insert(opts.busted, arg)
    if not value then
      i = i + 1
      table.insert(opts.busted, OUTPUTS[args[i]] or args[i])
    end
  else
    table.insert(opts.busted, arg)
    if arg:sub(1, 1) ~= "-" then
      table.insert(opts.paths, arg)
    end
  end
  return i
end

local function parse(args)
  local opts = { dirs = {}, busted = {}, paths = {} }
  local i = 1
  while i <= #args do
    local last, err = take(opts, args, i)
    if not last then
      return nil, err
    end
    i = last + 1
  end
  if opts.tap then
    table.insert(opts.busted, "--output=TAP")
  elseif opts.junit then
    table.insert(opts.busted, "--output=junit")
    table.insert(opts.busted, "-Xoutput")
    table.insert(opts.busted, opts.junit)
  end
  opts.timeout_s = tonumber(opts.timeout or DEFAULT_TIMEOUT_S)
  if not opts.timeout_s or opts.timeout_s < 0 then
    return nil, "--timeout needs a number of seconds, not '" .. opts.timeout .. "'"
  end
  opts.coverage = opts.coverage or opts.coverage_file ~= nil
  return opts
end

local function kind(path)
  return require("lfs").attributes(path, "mode")
end

-- Adds the nearest directory from `path` upwards that holds plugins.
local function find_plugins(path)
  local at = path:gsub("/+$", "")
  if kind(at) ~= "directory" then
    at = at:match("^(.*)/[^/]*$") or "."
  end
  for _ = 1, 8 do
    if kind(at .. "/handler.lua") then
      return host.add_plugin_dir(at:match("^(.*)/[^/]*$") or "..")
    elseif kind(at .. "/kong/plugins") or kind(at .. "/plugins") then
      return host.add_plugin_dir(at)
    end
    local above = at:match("^(.*)/[^/]*$")
    if at == "." or at == "" or not above and at ~= "." and path:sub(1, 1) == "/" then
      return
    end
    at = above or "."
  end
end

-- The C searchers of package.path look below the working directory and below each plugin directory.
local function extend_path()
  local parts = {}
  for _, dir in ipairs(host.plugin_dirs) do
    if dir ~= "." then
      parts[#parts + 1] = dir .. "/?.lua;" .. dir .. "/?/init.lua"
    end
  end
  parts[#parts + 1] = "./?.lua;./?/init.lua"
  package.path = table.concat(parts, ";") .. ";" .. package.path
end

-- To the terminal, where the gateway's goes to its log.
local function print_line(...)
  local parts = { ... }
  for i = 1, select("#", ...) do
    parts[i] = tostring(parts[i])
  end
  io.stdout:write(table.concat(parts, "\t"), "\n")
end

local function prepare(program, opts)
  host.program = program
  for _, dir in ipairs(opts.dirs) do
    host.add_plugin_dir(dir)
  end
  for _, path in ipairs(#opts.paths > 0 and opts.paths or { "spec" }) do
    find_plugins(path)
  end
  find_plugins(".")
  host.install_search()
  _G.print = print_line
  extend_path()
  require "moongate.spec"
  require "moongate.runloop.handlers"
  if not package.searchpath("spec.helpers", package.path) then
    package.preload["spec.helpers"] = function()
      return require "moongate.spec.helpers"
    end
  end
end

local BAD = { error = true, crit = true, alert = true, emerg = true }

-- What the gateway logged as an error during a test that failed.
local function show_errors(name, mark)
  for _, entry in ipairs(logs.since(mark)) do
    if BAD[entry.level] then
      io.stderr:write(("\nlogged during \"%s\": [%s] %s\n"):format(name, entry.level,
        (entry.message:gsub("\\n", "\n"):gsub("\\x09", "  "))))
    end
  end
end

-- Ends the process when nothing has happened for too long: who waits in vain cannot say so. touch(name): something did.
local function guard(timeout_s)
  local last, at = "the start", node.mono()
  if timeout_s > 0 then
    wait.timer_every(math.min(1, timeout_s), function(premature)
      if not premature and node.mono() - at > timeout_s then
        io.stdout:flush()
        io.stderr:write(("\nmoongate test: nothing has happened for %s s since %s: ended (--timeout)\n"):format(timeout_s, last))
        host.program.done(1)
      end
    end)
  end
  return function(what, element)
    last, at = what .. " of \"" .. tostring(element.name) .. "\"", node.mono()
  end
end

-- What every suite has: our assertions, things closed at the end of each file, a fresh world for each test.
local function subscribe(opts)
  local touch = guard(opts.timeout_s)
  local busted = require "busted"
  local unit = require "moongate.spec.unit"
  require("moongate.spec.asserts").register()
  local mark = 0
  busted.subscribe({ "file", "start" }, function(file)
    touch("the beginning", file)
    return nil, true
  end)
  busted.subscribe({ "test", "start" }, function(element)
    touch("the beginning", element)
    mark = logs.mark()
    return nil, true
  end)
  busted.subscribe({ "test", "end" }, function(element, _, status)
    touch("the end", element)
    if status == "failure" or status == "error" then
      show_errors(element.name, mark)
    end
    unit.refresh()
    return nil, true
  end)
  busted.subscribe({ "file", "end" }, function(file)
    unit.refresh()
    local err = host.close_all()
    if err then
      busted.publish({ "error", "file" }, file, nil, tostring(err), {})
    end
    return nil, true
  end)
end

local function run_busted(opts)
  local exit = os.exit
  os.exit = function(code) -- luacheck: ignore 122
    error({ EXIT, code }, 0)
  end
  table.insert(opts.busted, "--ignore-lua") -- .busted may name another interpreter
  _G.arg = opts.busted
  -- The last module that busted's runner asks for, once everything is set up: a helper of the user's, too.
  package.preload["busted.execute"] = function()
    subscribe(opts)
    return assert(loadfile(package.searchpath("busted.execute", package.path)))()
  end
  local ok, err = xpcall(function()
    require "busted.runner"({ standalone = false })
  end, function(err)
    return type(err) == "string" and debug.traceback(err) or err
  end)
  os.exit = exit -- luacheck: ignore 122
  if ok then
    return 0
  elseif type(err) == "table" and err[1] == EXIT then
    return (err[2] == true or err[2] == 0 or err[2] == nil) and 0 or 1
  elseif err ~= nil then
    io.stderr:write("moongate test: ", tostring(err), "\n")
  end
  return 1
end

return function(program, args)
  local opts, err = parse(args)
  if not opts then
    io.stderr:write("moongate test: ", err, " (moongate test --help)\n")
    return 2
  elseif opts.help or opts.h then
    io.stdout:write(HELP)
    return 0
  end
  if opts.watch then
    return require("moongate.spec.watch").run(opts, args)
  end
  setmetatable(_G, nil) -- no warnings about globals: specs have some
  local found, missing = pcall(require, "busted.core")
  if not found then
    io.stderr:write("moongate test: busted is not installed (Debian: apt install lua-busted): ", missing, "\n")
    return 1
  end
  prepare(program, opts)
  local coverage = opts.coverage and require("moongate.spec.coverage").start(host.plugin_dirs)
  local code = run_busted(opts)
  host.close_all()
  if coverage then
    coverage:report(opts.coverage_file)
  end
  return code
end
