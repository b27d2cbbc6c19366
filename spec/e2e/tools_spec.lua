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
      assert.same({ 0, "19", "0", "0" }, { code, count(output) }, output)
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

  describe("plugin check", function()
    local BAD = [[
local Bad = { PRIORITY = 10, VERSION = "1.0.0" }
-- ngx.location.capture in a comment is fine
function Bad:acces(conf)
  local text = "ngx.req.socket in a string too"
  ngx.location.capture("/x")
  kong.db.consumers:insert({ username = text })
  ngx.shared.mine:set("a", 1)
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
