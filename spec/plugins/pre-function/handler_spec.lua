local traffic = require "plugins.fake_traffic"

describe("pre-function and post-function", function()
  local plugin

  before_each(function()
    plugin = traffic.new("pre-function")
  end)

  it("run before and after all others", function()
    assert.same(1000000, plugin.handler.PRIORITY)
    assert.same(-1000, traffic.new("post-function").handler.PRIORITY)
  end)

  it("run snippets in their order, in their phase", function()
    local conf = { access = { "kong.service.request.set_header('A', '1')",
      "kong.service.request.set_header('A', kong.request.get_header('A') .. '2')" },
      log = { "kong.ctx.shared.logged = true" } }
    plugin:access(conf)
    assert.same("12", plugin:sent("A"))
    plugin:run("rewrite", conf)
    assert.is_nil(plugin.kong.ctx.shared.logged)
    plugin:run("log", conf)
    assert.is_true(plugin.kong.ctx.shared.logged)
  end)

  it("answer", function()
    local answer = plugin:access({ access = { "return kong.response.exit(418, 'tea')", "error('never')" } })
    assert.same({ 418, "tea" }, { answer.status, answer.body })
  end)

  it("keep the upvalues of a function that a snippet returns", function()
    local conf = { access = { [[
      local count = 0
      return function()
        count = count + 1
        kong.service.request.set_header("X-Count", count)
      end]] } }
    for i = 1, 3 do
      plugin:access(conf)
      assert.same(tostring(i), plugin:sent("X-Count"))
    end
  end)

  it("keep their globals to themselves", function()
    local conf = { access = { "leaked = (leaked or 0) + 1 kong.service.request.set_header('X', leaked)",
      "kong.service.request.set_header('Y', tostring(leaked))" } }
    plugin:access(conf)
    plugin:access(conf)
    assert.same({ "2", "nil" }, { plugin:sent("X"), plugin:sent("Y") })
    assert.is_nil(rawget(_G, "leaked"))
  end)

  it("cannot reach the machine or change the gateway", function()
    for _, text in ipairs({ "return io.open('/x')", "return os.execute('x')", "return debug.sethook()", "return load('1')",
      "return loadstring('1')", "require 'ffi'", "return package.loaded", "kong.request.get_path = nil",
      "getfenv(0).x = 1", "_G.x = 1", "string.format.x = 1", "setmetatable('', {})" }) do
      assert.is_false((pcall(plugin.access, plugin, { access = { text } })), text)
    end
  end)

  it("ask for bodies only where they have a snippet for them", function()
    plugin:request():run("header_filter", { body_filter = {} })
    assert.is_nil(plugin.wanted.body_filter)
    plugin:request():run("header_filter", { body_filter = { "return" } })
    assert.is_true(plugin.wanted.body_filter)
  end)

  it("say where they failed", function()
    local ok, err = pcall(plugin.access, plugin, { access = { "return 1", "\nerror('x')" } })
    assert.is_false(ok)
    assert.matches("^pre%-function:access%[2%]:2: x", err)
  end)
end)
