-- The plugin author's tools as programs: moongate test over suites of their own (spec/tools), plugin new, plugin check.

local process = require("e2e.support.process")
local sched = require("e2e.support.sched")
local stat = require("posix.sys.stat")
local stdlib = require("posix.stdlib")

local ROOT = os.getenv("MOONGATE_ROOT") or assert(io.popen("pwd")):read("*l")
local PROGRAM = os.getenv("MOONGATE_BIN") or ROOT .. "/build/moongate"

local EMPTY_SCHEMA = [[return { name = "%s", fields = { { config = { type = "record", fields = {} } } } }]]

local function read(path)
  local file = io.open(path)
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text
end

local function write(path, text)
  for parent in path:gmatch("()/") do
    stat.mkdir(path:sub(1, parent - 1))
  end
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

describe("moongate", function()
  local dir

  before_each(function()
    dir = assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-tools-XXXXXX"))
  end)

  after_each(function()
    os.execute("rm -rf '" .. dir .. "'")
  end)

  -- Runs `moongate ...` in a directory: exit code, output.
  local function run(at, ...)
    local child = process.start({ program = PROGRAM, args = { ... }, dir = at, stdout = dir .. "/out", stderr = dir .. "/out",
      env = { TMPDIR = dir } })
    local how, code = child:wait(30 * sched.slow)
    local output = read(dir .. "/out")
    os.remove(dir .. "/out")
    return how == "exited" and code or how, output
  end

  local function count(output)
    return output:match("(%d+) success%S* / (%d+) failure%S* / (%d+) error")
  end

  -- A suite of one file.
  local function suite(text)
    write(dir .. "/suite/spec/a_spec.lua", text)
    return dir .. "/suite"
  end

  describe("test", function()
    it("runs specs with a gateway, upstreams, unit mode, a clock", function()
      local code, output = run(ROOT .. "/spec/tools/probe", "test")
      assert.same({ 0, "20", "0", "0" }, { code, count(output) }, output)
    end)

    it("runs specs written for Kong as they are", function()
      local code, output = run(ROOT .. "/spec/tools/greeter", "test")
      assert.same({ 0, "9", "0", "0" }, { code, count(output) }, output)
    end)

    it("leaves no file behind", function()
      run(ROOT .. "/spec/tools/probe", "test", "spec/gateway_spec.lua")
      local names = {}
      for name in io.popen("ls -A '" .. dir .. "'"):lines() do
        names[#names + 1] = name
      end
      assert.same({}, names)
    end)

    it("fails when a test fails, with what the gateway logged meanwhile", function()
      local at = suite([[
        local gw = require "moongate.spec"
        it("passes", function() end)
        it("fails", function()
          ngx.log(ngx.ERR, "this went wrong")
          assert.equal(1, 2)
        end)
      ]])
      local code, output = run(at, "test")
      assert.same({ 1, "1", "1", "0" }, { code, count(output) }, output)
      assert.matches("Expected objects to be equal", output)
      assert.matches("logged during \"fails\": [error]", output, 1, true)
      assert.matches("this went wrong", output)
    end)

    it("fails when a spec does not load, and when there is none", function()
      local code, output = run(suite("this is no Lua"), "test")
      assert.equal(1, code, output)
      code, output = run(dir .. "/suite", "test", "nowhere")
      assert.equal(1, code, output)
      assert.matches("nowhere", output)
    end)

    it("shows what specs print", function()
      local _, output = run(suite([[it("prints", function() print("a", 1, nil) end)]]), "test")
      assert.matches("a\t1\tnil\n", output)
    end)

    it("keeps files apart", function()
      local at = suite([[
        it("leaves a gateway and a global", function()
          left = true
          require("moongate.spec").start({})
        end)
      ]])
      write(at .. "/spec/b_spec.lua", [[
        it("finds neither", function()
          assert.is_nil(rawget(_G, "left"))
          assert.has_error(function() require("moongate.spec").client() end)
        end)
      ]])
      local code, output = run(at, "test")
      assert.same({ 0, "2", "0", "0" }, { code, count(output) }, output)
    end)

    it("says which failure was of the plugin", function()
      local at = suite([[
        local gw = require "moongate.spec"
        it("raises", function() gw.plugin("bad"):run("access", {}, {}) end)
      ]])
      write(at .. "/plugins/bad/handler.lua", [[
        return { PRIORITY = 1, VERSION = "1.0.0", access = function() error("not today") end }]])
      write(at .. "/plugins/bad/schema.lua", EMPTY_SCHEMA:format("bad"))
      local code, output = run(at, "test")
      assert.equal(1, code)
      assert.matches("plugins/bad/handler.lua:1: not today", output, 1, true)
    end)

    it("ends when a test waits in vain", function()
      local at = suite([[it("waits", function() ngx.sleep(1000) end)]])
      local code, output = run(at, "test", "--timeout", "0.1")
      assert.equal(1, code)
      assert.matches('nothing has happened for 0.1 s since the beginning of "waits"', output, 1, true)
      code, output = run(at, "test", "--timeout", "soon")
      assert.equal(2, code)
      assert.matches("needs a number of seconds, not 'soon'", output, 1, true)
    end)

    it("writes TAP and JUnit", function()
      local at = suite([[it("is fine", function() end) it("is not", function() error("x") end)]])
      local code, output = run(at, "test", "--tap")
      assert.equal(1, code)
      assert.matches("ok 1 - is fine\n", output, 1, true)
      assert.matches("not ok 2 - is not\n", output, 1, true)
      run(at, "test", "--junit", "report.xml")
      assert.matches("<testcase[^>]*name='is fine'", read(at .. "/report.xml"))
    end)

    it("measures which lines ran", function()
      local code, output = run(ROOT .. "/spec/tools/greeter", "test", "--coverage-file", dir .. "/lcov",
        "spec/greeter/10-access_spec.lua")
      assert.equal(0, code, output)
      assert.matches("100.0 %  kong/plugins/greeter/handler.lua", output, 1, true)
      assert.matches("SF:kong/plugins/greeter/handler.lua\n", read(dir .. "/lcov"), 1, true)
      local at = suite([[
        local gw = require "moongate.spec"
        it("runs", function() gw.plugin("half"):run("access", {}, {}) end)]])
      write(at .. "/plugins/half/handler.lua", "local H = { PRIORITY = 1, VERSION = \"1.0.0\" }\n\nfunction H:access(conf)\n"
        .. "  if kong.request.get_header(\"x\") then\n    kong.log(\"y\")\n  end\nend\n\nreturn H\n")
      write(at .. "/plugins/half/schema.lua", EMPTY_SCHEMA:format("half"))
      code, output = run(at, "test", "--coverage")
      assert.equal(0, code, output)
      assert.matches("plugins/half/handler.lua  not: 5\n", output, 1, true)
    end)

    it("explains itself", function()
      local code, output = run(dir, "test", "--help")
      assert.equal(0, code)
      assert.matches("--coverage", output, 1, true)
      code, output = run(dir, "test", "--junit")
      assert.equal(2, code)
      assert.matches("--junit needs a value", output, 1, true)
    end)
  end)

  describe("plugin new", function()
    it("writes a plugin whose specs pass and whose check is clean", function()
      local code, output = run(dir, "plugin", "new", "add-header")
      assert.equal(0, code, output)
      code, output = run(dir .. "/add-header", "test")
      assert.same({ 0, "4", "0", "0" }, { code, count(output) }, output)
      code, output = run(dir, "plugin", "check", "add-header")
      assert.equal(0, code, output)
      assert.matches("add-header: 0 errors, 0 warnings", output, 1, true)
      code, output = run(dir, "config", "validate", "add-header/kong.yaml", "--plugin-dirs", "add-header")
      assert.equal(0, code, output)
    end)

    it("overwrites nothing and wants a name", function()
      run(dir, "plugin", "new", "mine", "there")
      local before = read(dir .. "/there/kong.yaml")
      local code, output = run(dir, "plugin", "new", "mine", "there")
      assert.equal(2, code)
      assert.matches("exists already", output)
      assert.equal(before, read(dir .. "/there/kong.yaml"))
      code, output = run(dir, "plugin", "new", "Not A Name")
      assert.equal(2, code)
      assert.matches("is no name of a plugin", output)
    end)
  end)

  it("test: assert.eventually asks again until it holds", function()
    local at = suite([[
local gw = require "moongate.spec"
describe("eventually", function()
  local n
  before_each(function() n = gw and 0 end)
  local function third() n = n + 1; return n >= 3 end
  local function calms() n = n + 1; assert(n >= 3, "not yet") end
  it("holds", function()
    assert.with_step(0.01).eventually(third).is_truthy()
    assert.equal(3, n)
  end)
  it("is falsy", function() assert.with_step(0.01).eventually(function() return not third() end).is_falsy() end)
  it("calms down", function() assert.with_timeout(2).with_step(0.01).eventually(calms).has_no_error() end)
  it("passes over errors", function()
    assert.with_step(0.01).ignore_exceptions(true).eventually(function() calms() return true end).is_truthy()
  end)
  it("raises", function() assert.eventually(function() error("at once") end).is_truthy() end)
  it("gives up", function() assert.with_timeout(0.05).with_step(0.01).eventually(function() return false end).is_truthy() end)
  it("is as before without", function()
    assert.is_truthy(1) assert.is_falsy(nil) assert.has_error(function() error("x", 0) end, "x") assert.has_no.errors(third)
    assert.has_error(function() assert.is_truthy(false) end)
  end)
end)]])
    local code, output = run(at, "test")
    assert.equal(1, code, output)
    assert.same({ "5", "1", "1" }, { count(output) }, output)
    assert.matches("at once", output, 1, true)
    assert.matches("Expected to be truthy", output, 1, true)
  end)

  it("test: spec.helpers knows the entities of plugins' daos.lua", function()
    local plugin = dir .. "/own/kong/plugins/own/"
    write(plugin .. "handler.lua", [[
local Own = { PRIORITY = 10, VERSION = "1.0.0" }
function Own:access()
  if kong.request.get_header("X-Pass") then return end
  local thing = kong.db.things:select_by_key(kong.request.get_header("X-Thing"))
  local owner = thing and thing.consumer and kong.db.consumers:select(thing.consumer)
  return kong.response.exit(thing and 200 or 404, owner and owner.username)
end
function Own:response()
  kong.response.set_header("X-Own", "1")
  return kong.response.exit(203, { seen = kong.service.response.get_raw_body() })
end
return Own]])
    write(plugin .. "schema.lua", EMPTY_SCHEMA:format("own"))
    write(plugin .. "daos.lua", [[
return { { name = "things", primary_key = { "id" }, endpoint_key = "key", fields = {
  { id = { type = "string", uuid = true, auto = true } },
  { key = { type = "string", unique = true, auto = true } },
  { consumer = { type = "foreign", reference = "consumers" } },
} } }]])
    write(dir .. "/own/spec/own/a_spec.lua", [[
local helpers = require "spec.helpers"
describe("own", function()
  local made
  setup(function()
    local bp, db = helpers.get_db_utils("off", { "things" }, { "own" })
    local alice = bp.consumers:insert({ username = "alice" })
    made = bp.things:insert({ consumer = { id = alice.id } })
    assert(db.things:insert({ key = "second" }))
    db.things:insert({ key = "gone" })
    db.things:delete_by_key("gone")
    bp.acls:insert({ consumer = alice, group = "g" })
    db:truncate("acls")
    assert.equal("alice", db.consumers:select_by_username("alice").username)
    assert.is_nil(db.things:select_by_key("gone"))
    assert.equal(2, #db.things:page())
    bp.plugins:insert({ name = "own", route = bp.routes:insert({ paths = { "/" } }) })
    assert(helpers.start_kong())
  end)
  for key, want in pairs({ second = 200, gone = 404 }) do
    it(key, function()
      assert.res_status(want, helpers.proxy_client():get("/", { headers = { ["X-Thing"] = key } }))
    end)
  end
  it("made", function()
    assert.equal("alice", assert.res_status(200, helpers.proxy_client():get("/", { headers = { ["X-Thing"] = made.key } })))
  end)
  it("unit mode has them", function()
    local plugin = require("moongate.spec").plugin("own")
    local things = { { id = "t", key = "k", consumer = { id = "c" } } }
    local result = plugin:run("access", {}, { headers = { ["X-Thing"] = "k" }, things = things,
      consumers = { { id = "c", username = "carol" } } })
    assert.same({ 200, "carol" }, { result.status, result.body })
    assert.equal(404, plugin:run("access", {}, { headers = { ["X-Thing"] = "k" } }).status)
  end)
  for _, how in ipairs({ "unit", "gateway" }) do
    it("an answer in response keeps the headers, by " .. how, function()
      local request = { headers = { ["X-Pass"] = "1" }, response = { headers = { ["X-Up"] = "2" }, body = "in" } }
      local r = how == "gateway" and helpers.proxy_client():get("/response-headers?X-Up=2", { headers = request.headers })
        or require("moongate.spec").plugin("own"):run({ "access", "response" }, {}, request)
      assert.equal(203, r.status)
      assert.equal("1", r.headers["x-own"])
      assert.equal("2", r.headers["X-Up"])
    end)
  end
  it("no such kind", function()
    assert.error_matches(function() helpers.get_db_utils().nothings:insert({}) end, "no entities of the kind 'nothings'")
  end)
end)]])
    local code, output = run(dir .. "/own", "test")
    assert.equal(0, code, output)
    assert.same({ "7", "0", "0" }, { count(output) })
    code, output = run(dir, "plugin", "check", "own")
    assert.equal(0, code, output)
    assert.is_nil(output:find("daos.lua", 1, true), output)
  end)

  describe("plugin check", function()
    local BAD = [[
local Bad = { PRIORITY = 10, VERSION = "1.0.0" }
-- ngx.location.capture in a comment is fine
function Bad:acces(conf)
  local text = "ngx.req.socket in a string too"
  ngx.location.capture("/x")
  kong.db.consumers:insert({ username = text })
  ngx.shared.mine:set("a", 1); ngx.shared.kong_rate_limiting_counters:get("a")
  kong.request.get_everything()
  string.dump(print)
  return setmetatable({}, { __len = function() return 1 end })
end
function Bad:preread() end
return Bad
]]

    it("names what cannot work, with the line", function()
      write(dir .. "/bad/handler.lua", BAD)
      write(dir .. "/bad/schema.lua", EMPTY_SCHEMA:format("other"))
      write(dir .. "/bad/api.lua", "return {}")
      local code, output = run(dir, "plugin", "check", "bad")
      assert.equal(1, code, output)
      for _, expected in ipairs({
        "bad/handler.lua:5: error: ngx.location.capture", "bad/handler.lua:6: error: kong.db writes",
        "bad/handler.lua:7: error: ngx.shared.mine", "bad/handler.lua:8: error: kong.request.get_everything",
        "bad/handler.lua:9: warning: string.dump", "bad/handler.lua:10: warning: __len",
        "'acces' is no phase: did you mean 'access'?", "phase preread never runs", "its name is 'other'",
        "bad/api.lua: warning: it is not used",
      }) do
        assert.matches(expected, output, 1, true)
      end
      assert.is_nil(output:find("handler.lua:2:", 1, true) or output:find("handler.lua:4: error", 1, true))
      assert.is_nil(output:find("kong_rate_limiting_counters", 1, true), output)
    end)

    it("names calls in phases where they raise, and what only trusted plugins may", function()
      write(dir .. "/bad/handler.lua", [[
local ffi = require "ffi"
local response = kong.response
local Bad = { PRIORITY = 10, VERSION = "1.0.0" }
function Bad.access(conf)
  if response.get_status() then
    kong.request.get_header("x")
    ngx.timer.at(0, function() ngx.sleep(1) end)
  end
  os.execute("true")
end
function Bad:header_filter(conf)
  ngx.timer.at(0, function() ngx.sleep(1) end)
  kong.service.request.set_header("a", ffi.os)
  response.set_header("a", "b")
end
Bad.log = function(self, conf)
  for _ in pairs(conf) do ngx.sleep(1) end
  kong.log.serialize()
end
return Bad
]])
      write(dir .. "/bad/schema.lua", EMPTY_SCHEMA:format("bad"))
      local code, output = run(dir, "plugin", "check", "bad")
      assert.equal(1, code, output)
      for _, expected in ipairs({
        "bad/handler.lua:1: warning: require \"ffi\"", "trusted_plugins names the plugin",
        "bad/handler.lua:4: warning: Bad.access(conf) gets the plugin itself first",
        "bad/handler.lua:5: error: kong.response.get_status: it raises in access (only in: response, header_filter",
        "bad/handler.lua:9: warning: os.execute",
        "bad/handler.lua:13: error: kong.service.request.set_header: it raises in header_filter (only in: rewrite, access",
        "bad/handler.lua:17: error: ngx.sleep: nothing may wait in log",
      }) do
        assert.matches(expected, output, 1, true)
      end
      for _, line in ipairs({ 6, 7, 12, 14, 18 }) do
        assert.is_nil(output:find("handler.lua:" .. line .. ": error", 1, true), output)
      end
    end)

    it("finds the libraries that come with the gateway", function()
      write(dir .. "/bad/handler.lua", [[local http = require "resty.http"
        local fields = require("resty.http_headers").new()
        return { PRIORITY = 1, VERSION = "1.0.0", access = function() http.new():request_uri("http://a.test", fields) end }]])
      write(dir .. "/bad/schema.lua", [[return { name = "bad", fields = { { config = { type = "record", fields = {} } } } }]])
      local code, output = run(dir, "plugin", "check", "bad")
      assert.equal(0, code, output)
      assert.matches("bad: 0 errors", output, 1, true)
    end)

    it("names what a schema says in vain", function()
      write(dir .. "/bad/handler.lua", "return { VERSION = \"1.0.0\", acces = function() end, z = require \"resty.nowhere\" }")
      write(dir .. "/bad/schema.lua", [[return { name = "bad", fields = { { config = { type = "record",
        fields = { { a = { type = "string", requird = true } }, { b = { type = "array" } },
          { c = { type = "integer", default = "x" } }, { d = { type = "set", elements = { type = "string", one_of = { "q" } },
            default = { "q" } } } },
        entity_checks = { { at_least_one_of = { "a", "nope" } } } } } } }]])
      local code, output = run(dir, "plugin", "check", "bad")
      assert.equal(1, code, output)
      for _, expected in ipairs({
        "warning: config.a: 'requird' is no attribute of a field: did you mean 'required'?",
        "warning: config.b: a field of type array needs 'elements'",
        "error: config.c: its default is refused by the field itself: expected an integer",
        "error: config: entity check at_least_one_of: there is no field 'nope'",
        "handler.lua:1: error: require \"resty.nowhere\": there is no such module",
      }) do
        assert.matches(expected, output, 1, true)
      end
      assert.is_nil(output:find("config.d", 1, true), output)
      assert.is_nil(output:find("handler.lua failed", 1, true), "the missing module is told once: " .. output)
      write(dir .. "/bad/handler.lua", "return { VERSION = \"1.0.0\", acces = function() end }")
      output = select(2, run(dir, "plugin", "check", "bad"))
      assert.matches("has no PRIORITY", output, 1, true)
      assert.matches("'acces' is no phase", output, 1, true)
    end)

    it("tells of handlers that do not load", function()
      write(dir .. "/bad/handler.lua", "return {\n  PRIORITY = 1,\n  VERSION = \n}")
      write(dir .. "/bad/schema.lua", "return 5")
      local code, output = run(dir, "plugin", "check", "bad")
      assert.equal(1, code)
      assert.matches("bad/handler.lua:4: error: syntax", output, 1, true)
      write(dir .. "/bad/handler.lua", "return { PRIORITY = 1 }")
      code, output = run(dir, "plugin", "check", "bad")
      assert.equal(1, code)
      assert.matches("has no VERSION", output, 1, true)
      assert.matches("error in schema definition", output, 1, true)
    end)

    it("finds nothing wrong with the bundled plugins, and nothing where there is none", function()
      local code, output = run(ROOT, "plugin", "check", "plugins")
      assert.equal(0, code, output)
      code, output = run(dir, "plugin", "check", dir)
      assert.equal(2, code)
      assert.matches("holds no plugin", output)
    end)
  end)
end)
