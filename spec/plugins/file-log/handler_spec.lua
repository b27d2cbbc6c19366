local fake = require "plugins.fake_gateway"

describe("file-log", function()
  local lines

  before_each(function()
    lines = {}
    package.loaded["moongate.abi.file"] = { append = function(...)
      lines[#lines + 1] = { ... }
      return true
    end }
    package.loaded["moongate.pdk.log_record"] = { text = function() return '{"a":1}' end }
  end)

  after_each(function()
    package.loaded["moongate.pdk.log_record"] = nil
  end)

  local function log(conf, spec)
    local self = fake.new("file-log", spec or { ngx = { var = { host = "h" }, ctx = {}, time = os.time } })
    for _, name in ipairs({ "client", "router", "node", "ip", "plugin" }) do
      _G.kong[name] = {}
    end
    _G.kong.service.response = {}
    fake.run(self, "log", conf)
    return self
  end

  it("has Kong's priority", function()
    assert.same(9, fake.new("file-log", {}).handler.PRIORITY)
  end)

  it("appends the record's text", function()
    log({ path = "/a.log", reopen = true })
    assert.same({ { "/a.log", '{"a":1}', true } }, lines)
  end)

  it("sets fields by expressions that see the request", function()
    local self = log({ path = "/a", custom_fields_by_lua = {
      host = "return kong.request.get_header('Host')", var = "return ngx.var.host", route = "return nil",
    } }, { headers = { Host = "example.test" }, ngx = { var = { host = "v" } } })
    assert.same({ host = "example.test", var = "v" }, self.values)
    assert.same(1, #lines)
  end)

  it("writes the line although a field fails", function()
    local self = log({ path = "/a", custom_fields_by_lua = { bad = "error('no')", good = "return 1",
      global = "x = 1", write = "ngx.var.host = 'x'", respond = "kong.response.exit(500)" } })
    assert.same({ good = 1 }, self.values)
    assert.same(4, #self.logged)
    assert.matches("^err: custom field 'bad' was left out: ", self.logged[1])
    assert.same(1, #lines)
  end)

  it("compiles an expression once", function()
    local conf = { path = "/a", custom_fields_by_lua = { n = "return 1" } }
    local compiled, original = 0, _G.load
    finally(function() _G.load = original end)
    _G.load = function(...)
      compiled = compiled + 1
      return original(...)
    end
    local self = log(conf)
    local before = compiled
    fake.run(self, "log", conf)
    assert.same({ 1, before }, { before, compiled })
  end)
end)
