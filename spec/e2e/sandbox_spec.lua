-- What a plugin's code may not do to others: ways out of its environment, bombs and loops, in the tiers of docs/security.md.
-- `file`: a plugin from an operator's file; `snippet`: pre-function. After each attempt the worker is the same process and a canary
-- (another file's plugin and a snippet) sees what it saw before.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")

-- Runs the Lua text of its configuration in this file's environment; `try`: and says what it returned.
local HANDLER = [[
local probe = { PRIORITY = 10, VERSION = "1.0.0" }
local loadstring, exit, text_of, pcall = loadstring, kong.response.exit, tostring, pcall
function probe:access(conf)
  if conf.run then
    return assert(loadstring(conf.run, "=run"))()
  end
  local ok, got = pcall(assert(loadstring(conf.try, "=try")))
  return exit(200, { out = ok and got and true or false, text = text_of(got) })
end
return probe
]]

local TRY = [[
local exit, text_of = kong.response.exit, tostring
local ok, got = pcall(function() %s end)
return exit(200, { out = ok and got and true or false, text = text_of(got) })
]]

-- Sees what a careless neighbour would see of a change.
local LOOK = [[
  local cjson = require("cjson")
  local out = { ("a"):upper(), string.upper("b"), #("x"):rep(3), table.concat({ 1, 2 }), tostring(3), math.floor(2.5),
    kong.request.get_path(), kong.router.get_route().name, tostring(kong.ctx.shared.leak), tostring(kong.ctx.leak),
    cjson.encode({ a = cjson.empty_array }), type(ngx.shared.kong:get("no-such-key")), tostring(rawleak), type(pairs),
    tostring(ngx.var.leak), tostring(ngx.leak), tostring(getmetatable and getmetatable("") and true),
    kong.version, type(ngx.socket.tcp().connect), cjson.encode(setmetatable and setmetatable({}, cjson.array_mt) or {}), }
]]
local SEES = { "A", "B", 3, "12", "3", 2, "/canary", "canary", "nil", "nil", '{"a":[]}', "nil", "nil", "function", "nil", "nil",
  "nil",  "3.9.0", "function" }

local CANARY = [[
local canary = { PRIORITY = 5, VERSION = "1.0.0" }
function canary:access()
]] .. LOOK .. [[
  return kong.response.exit(200, { file = out, snippet = kong.ctx.shared.snippet })
end
return canary
]]

local function schema(name)
  return ([[return { name = %q, fields = { { config = { type = "record", fields = {
    { try = { type = "string" } }, { run = { type = "string" } } } } } } }]]):format(name)
end

local BOTH, FILE, SNIPPET_ONLY = { "file", "snippet" }, { "file" }, { "snippet" }

-- Each returns a true value when it got out, or leaves something behind for the canary.
local ESCAPES = {
  { "the metatable of strings", BOTH, [[return getmetatable("") and getmetatable("").__index]] },
  { "methods of strings through their metatable", BOTH, [[getmetatable("").__index.upper = function() return "evil" end]] },
  { "a library's function", BOTH, [[string.upper = function() return "evil" end; table.concat = nil; math.floor = nil]] },
  { "a global function", BOTH, [[tostring = function() return "evil" end; pairs = nil; rawleak = 1]] },
  { "_G", BOTH, [[_G.tostring = function() return "evil" end; _G.rawleak = 1]] },
  { "bytecode of one's own", BOTH, [[return loadstring(string.dump(function() return true end))()]] },
  { "bytecode as text", BOTH, [[return load("\27LJ\2\2\0")]] },
  { "bytecode by mode", BOTH, [[return load(string.dump(function() return true end), "x", "b")]] },
  { "the registry", BOTH, [[return debug.getregistry()]] },
  { "upvalues of the PDK", BOTH, [[return debug.getupvalue(kong.request.get_path, 1)]] },
  { "upvalues to be set", BOTH, [[return debug.setupvalue(kong.request.get_path, 1, nil)]] },
  { "locals of callers", BOTH, [[return debug.getlocal(2, 1)]] },
  { "functions of callers", BOTH, [[return debug.getinfo(1).func or debug.getinfo(2, "f").func]] },
  { "a hook of its own", BOTH, [[debug.sethook(function() end, "", 1) return true]] },
  { "debug.setmetatable", BOTH, [[return debug.setmetatable("", {})]] },
  { "locals in an error handler", BOTH, [[local got xpcall(error, function() got = debug.getlocal(2, 1) end) return got]] },
  { "package.loaded", BOTH,
    [[return package.loaded.ffi or package.loaded["moongate.native"] or package.loaded["moongate.boot"] ]] },
  { "a library in package.loaded", BOTH, [[package.loaded.string.upper = nil package.loaded.cjson.encode = nil]] },
  { "package.loadlib", BOTH, [[return package.loadlib("libc.so.6", "system")]] },
  { "package.preload", BOTH, [[return package.preload.ffi or package.preload["moongate.native"] ]] },
  { "package.loaders", BOTH, [[return package.loaders[1]("ffi")]] },
  { "the ffi", BOTH, [[return require("ffi")]] },
  { "the gateway's C functions", BOTH, [[return require("moongate.native")]] },
  { "the gateway's modules", BOTH, [[return require("moongate.abi.c").ffi]] },
  { "the JIT's modules", BOTH, [[return require("jit.util") or require("jit.opt")]] },
  { "the JIT as a module", BOTH, [[return require("jit").off]] },
  { "the debug library as a module", BOTH, [[return require("debug").getregistry]] },
  { "raw buffers", SNIPPET_ONLY, [[return require("string.buffer")]] },
  { "pointers of buffers", FILE, [[local b = require("string.buffer").new() return b.reserve or b.ref or b.commit or b.putcdata]] },
  { "a buffer's metatable", FILE, [[return getmetatable(require("string.buffer").new()).__index]] },
  { "os as a module", BOTH, [[return require("os").execute or require("_G").os.execute]] },
  { "getfenv(0)", BOTH, [[return getfenv(0).os.execute or getfenv(0).io.popen]] },
  { "setfenv(0)", BOTH, [[setfenv(0, {}) return true]] },
  { "environments of callers", FILE, [[for level = 1, 9 do
    local ok, env = pcall(getfenv, level)
    if ok and env and env.os.execute then return true end
  end]] },
  { "the environment of a PDK function", BOTH, [[return getfenv(kong.request.get_path).os.execute]] },
  { "the environment of a PDK function to be set", BOTH, [[return setfenv(kong.request.get_path, {})]] },
  { "the environment of a coroutine", BOTH, [[return coroutine.wrap(function() return getfenv(0).os.execute end)()]] },
  { "a chunk's environment", BOTH, [[return load("return os.execute or io.popen or package.loadlib")()]] },
  { "module", BOTH, [[module("evil", package.seeall) return true]] },
  { "processes", BOTH, [[return os.execute("true") or io.popen("true")]] },
  { "the end of the process", BOTH, [[os.exit(1)]] },
  { "standard streams", BOTH, [[io.stdout:close() io.output():close() return true]] },
  { "files", { "snippet" }, [[return io.open("/etc/passwd")]] },
  { "the process's environment", { "snippet" }, [[return os.getenv("PATH")]] },
  { "jit.off", BOTH, [[jit.off() return true]] },
  { "jit.flush", BOTH, [[jit.flush() return true]] },
  { "finalizers", BOTH, [[getmetatable(newproxy(true)).__gc = function() while true do end end return true]] },
  { "no collector", BOTH, [[collectgarbage("stop") return true]] },
  { "a lazy collector", BOTH, [[collectgarbage("setpause", 1e9) return true]] },
  { "a PDK function", BOTH, [[kong.request.get_path = function() return "evil" end kong.version = "evil"]] },
  { "a PDK namespace", BOTH, [[kong.request = nil]] },
  { "an ngx function", BOTH, [[ngx.socket.tcp = nil; ngx.leak = 1]] },
  { "a shared dictionary's methods", BOTH, [[ngx.shared.kong.get = function() return "evil" end]] },
  { "a shared dictionary", BOTH, [[ngx.shared.kong = {}]] },
  { "kong.ctx", BOTH, [[kong.ctx.leak = 1]] },
  { "kong.ctx.shared for all", BOTH, [[kong.ctx.shared = { leak = 1 }]] },
  { "raw fields of kong.ctx", FILE, [[rawset(kong.ctx, "leak", 1)]] },
  { "raw fields of ngx.var", FILE, [[rawset(ngx.var, "leak", "evil")]] },
  { "the metatable of kong.ctx", BOTH, [[getmetatable(kong.ctx).__index = function() return "evil" end]] },
  { "the metatable of ngx", BOTH, [[return getmetatable(ngx)]] },
  { "another metatable for ngx.var", BOTH, [[return setmetatable(ngx.var, {})]] },
  { "methods of sockets", BOTH, [[getmetatable(ngx.socket.tcp()).__index.connect = nil]] },
  { "functions of a shared module", BOTH, [[require("cjson").encode = function() return "evil" end]] },
  { "raw fields of a shared module", FILE, [[rawset(require("cjson"), "encode", function() return "evil" end)]] },
  { "a shared marker", BOTH, [[require("cjson").empty_array[1] = "evil"]] },
  { "a shared metatable", BOTH, [[require("cjson").array_mt.__index = function() return "evil" end]] },
  { "raw fields of a shared metatable", FILE, [[rawset(require("cjson").array_mt, "__index", print)]] },
  { "a route's table", BOTH, [[kong.router.get_route().name = "evil"]] },
  { "another sandbox's metatables", FILE, [[return require("kong.tools.sandbox").sandbox(
    "getmetatable('').__index.upper = function() return 'evil' end return true")()]] },
  { "passwords of the gateway", BOTH, [[return kong.configuration.config_redis_password]] },
  { "coroutine functions", BOTH, [[coroutine.resume = nil; coroutine.wrap = nil; coroutine.create = nil]] },
}

-- Each must be answered 500, with one log line that says why: the first of its limits that it meets.
local MEMORY = { "not enough memory", "plugin_memory", "plugin_budget", "would be over" }
local TIME = { "plugin_budget" }
local BOMBS = {
  { "string.rep", BOTH, [[local s = string.rep("x", 1e9) return #s]], MEMORY },
  { "rep as a method", BOTH, [[local s = ("x"):rep(1e9) return #s]], MEMORY },
  { "strings that double", BOTH, [[local s = "xxxxxxxxxxxxxxxx" while true do s = s .. s end]], MEMORY },
  { "many operands", BOTH,
    [[local s, t = ("x"):rep(1e6), {} s = s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s
    s = s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s t[1] = s]], MEMORY },
  { "table.concat", BOTH, [[local s, t = ("x"):rep(1e6), {} for i = 1, 1000 do t[i] = s end return #table.concat(t)]], MEMORY },
  { "gsub", BOTH, [[local s = ("x"):rep(1e5) return #s:gsub(".", s)]], MEMORY },
  { "many strings", BOTH, [[local t = {} for i = 1, 1e9 do t[i] = "element number " .. i end]], MEMORY },
  { "many tables", BOTH, [[local t = {} for i = 1, 1e9 do t[i] = { i } end]], MEMORY },
  { "a list in a list", BOTH, [[local t = {} while true do t = { t, t, t, t } for i = 5, 50 do t[i] = {} end end]], MEMORY },
  { "a huge table", FILE, [[local t = require("table.new")(1e8, 0) return t]], MEMORY },
  { "memory whose refusal is caught", BOTH,
    [[local t = {} while true do pcall(function() for i = 1, 1e7 do t[#t + 1] = { i } end end) end]],
    MEMORY },
  { "coroutines", FILE, [[local t = {} while true do t[#t + 1] = coroutine.create(function() end) end]], MEMORY },
  { "format", BOTH, [[return string.format("%99999s", "x")]], { "invalid option" } },
  { "deep recursion", BOTH,
    [[local function f(n) return 1 + f(n + 1) end return f(1)]], { "stack overflow", "error in error handling" } },
  { "a loop", BOTH, [[while true do end]], TIME },
  { "a goto", BOTH, [[::again:: goto again]], TIME },
  { "a loop that catches", BOTH, [[while true do pcall(function() while true do end end) end]], TIME },
  { "a loop that catches twice", BOTH, [[while true do pcall(pcall, function() while true do end end) end]], TIME },
  { "a handler that loops", BOTH, [[xpcall(function() while true do end end, function() while true do end end)]], TIME },
  { "a handler that loops for another error", BOTH, [[xpcall(error, function() while true do end end) while true do end]], TIME },
  { "a callback of gsub", BOTH, [[("x"):gsub(".", function() while true do end end)]], TIME },
  { "a comparison of sort", BOTH, [[table.sort({ 1, 2, 3 }, function() while true do end end)]], TIME },
  { "a generator", FILE, [[for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end]], TIME },
  { "a coroutine that catches", FILE,
    [[local co = coroutine.wrap(function() while true do pcall(function() while true do end end) end end)
    while true do pcall(co) end]], TIME },
  { "an error's text that loops", FILE,
    [[error(setmetatable({}, { __tostring = function() while true do end end }))]], { "without text" } },
  { "an error's text that fails", FILE,
    [[error(setmetatable({}, { __tostring = function() error("again") end }))]], { "without text" } },
  { "an error's text that is none", FILE,
    [[error(setmetatable({}, { __tostring = function() return {} end }))]], { "without text" } },
  { "a metamethod", FILE,
    [[local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return t[1] ]],
    { "stack overflow", "error in error handling" } },
}

local function each(list, fn)
  for i, case in ipairs(list) do
    for _, tier in ipairs(case[2]) do
      fn(i, tier, case[1], case[3], case[4])
    end
  end
end

-- Plugins from files: one for each attempt, so that none finds what another has changed of its own.
local function plugin_of(kind, i)
  return ("probe-%s-%d"):format(kind, i)
end

local function config()
  local routes, files = {}, {}
  local function add(name, plugins)
    routes[#routes + 1] = { name = name, paths = { "/" .. name }, plugins = plugins }
  end
  local function add_case(kind, i, tier, code)
    local text = kind == "try" and TRY:format(code) or code
    add(("%s-%s-%d"):format(kind, tier, i), { tier == "snippet" and { name = "pre-function", config = { access = { text } } }
      or { name = plugin_of(kind, i), config = { [kind] = code } } })
  end
  each(ESCAPES, function(i, tier, _, code)
    add_case("try", i, tier, code)
  end)
  each(BOMBS, function(i, tier, _, code)
    add_case("run", i, tier, code)
  end)
  local look = { LOOK .. " kong.ctx.shared.snippet = out" }
  add("canary", { { name = "pre-function", config = { access = look } }, { name = "canary" } })
  for _, route in ipairs(routes) do
    local name = route.plugins[#route.plugins].name
    if name ~= "pre-function" then
      files["plugins/" .. name .. "/handler.lua"] = name == "canary" and CANARY or HANDLER
      files["plugins/" .. name .. "/schema.lua"] = schema(name)
    end
  end
  files["kong.json"] = cjson.encode({ _format_version = "3.0",
    services = { { name = "none", url = "http://127.0.0.1:1", routes = routes } } })
  return files
end

local function says_one_of(line, texts)
  for _, text in ipairs(texts) do
    if line:find(text, 1, true) then
      return true
    end
  end
  return false
end

describe("a plugin's code", function()
  local gw, pid

  setup(function()
    gw = gateway.start({ config = config() })
    gw:wait_log("serving")
    pid = gw.process:children()[1]
    gw:expect_error("%[lua%] plugin \"p[%w-]+\", access phase: %(route \"run%-")
  end)

  teardown(function()
    gw:stop()
  end)

  after_each(function()
    local seen = client.get(gw, "/canary"):json()
    seen.file[#SEES + 1], seen.snippet[#SEES + 1] = nil, nil
    assert.same(SEES, seen.file)
    assert.same(SEES, seen.snippet)
    assert.same(pid, gw.process:children()[1])
    pid = gw.process:children()[1]
  end)

  each(ESCAPES, function(i, tier, name)
    it(("of a %s does not get at %s"):format(tier, name), function()
      local response = client.get(gw, ("/try-%s-%d"):format(tier, i))
      assert.status(200, response)
      assert.is_false(response:json().out, response.body)
    end)
  end)

  each(BOMBS, function(i, tier, name, _, why)
    it(("of a %s ends in a 500: %s"):format(tier, name), function()
      local route = ("run-%s-%d"):format(tier, i)
      local began = sched.now()
      assert.status(500, client.get(gw, "/" .. route))
      assert.truthy(sched.now() - began < 1.5 * sched.slow)
      local plugin = (tier == "file" and plugin_of("run", i) or "pre-function"):gsub("%-", "%%-")
      local prefix = ('plugin "%s", access phase: %%(route "%s"%%) '):format(plugin, route:gsub("%-", "%%-"))
      gw:wait_log(prefix)
      local lines = {}
      for line in gw:errors():gmatch(prefix .. "[^\n]*") do
        lines[#lines + 1] = line
      end
      assert.same(1, #lines)
      assert.truthy(says_one_of(lines[1], why), lines[1])
    end)
  end)
end)
