local traffic = require "plugins.fake_traffic"

local UUID = "00000000-0000-4000-8000-000000000000"

describe("correlation-id", function()
  local plugin

  local function conf(generator, echo)
    return { header_name = "X-Id", generator = generator or "uuid", echo_downstream = echo or false }
  end

  before_each(function()
    plugin = traffic.new("correlation-id")
  end)

  it("runs before everything else, as in Kong", function()
    assert.same(100001, plugin.handler.PRIORITY)
  end)

  it("makes ids in three ways", function()
    plugin:access(conf("uuid"))
    assert.same(UUID, plugin:sent("X-Id"))
    for i = 1, 3 do
      plugin:access(conf("uuid#counter"))
      assert.same(UUID .. "#" .. i, plugin:sent("X-Id"))
    end
    plugin:access(conf("tracker"))
    assert.same("10.0.0.9-8000-1-11-3-1700000000.000", plugin:sent("X-Id"))
  end)

  it("keeps the client's, but not an empty one", function()
    plugin:access(conf(), { headers = { ["x-id"] = "mine" } })
    assert.same("mine", plugin:sent("X-Id"))
    plugin:access(conf(), { headers = { ["x-id"] = "" } })
    assert.same(UUID, plugin:sent("X-Id"))
  end)

  it("echoes the id where that is wished", function()
    for _, echo in ipairs({ true, false }) do
      plugin:access(conf("uuid#counter", echo))
      plugin:run("header_filter", conf("uuid#counter", echo))
      assert.same(echo and plugin:sent("X-Id") or nil, plugin:answered("X-Id"))
    end
  end)

  it("echoes one on answers that came before access", function()
    plugin:request({ headers = { ["X-Id"] = "mine" } }):run("header_filter", conf("uuid", true))
    assert.same("mine", plugin:answered("X-Id"))
    plugin:request():run("header_filter", conf("uuid", true))
    assert.same(UUID, plugin:answered("X-Id"))
  end)
end)
