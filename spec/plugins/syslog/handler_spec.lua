local fake = require "plugins.fake_gateway"

describe("syslog", function()
  local enqueued

  before_each(function()
    enqueued = {}
    package.loaded["moongate.queue"] = {
      get_plugin_params = function() return {} end,
      enqueue = function(_, _, _, text) enqueued[#enqueued + 1] = text end,
    }
    package.loaded["moongate.pdk.log_record"] = { text = function() return "{}" end }
    package.loaded["moongate.abi.socket"] = {}
  end)

  after_each(function()
    for _, name in ipairs({ "queue", "pdk.log_record", "abi.socket" }) do
      package.loaded["moongate." .. name] = nil
    end
  end)

  local function log(status, over)
    local conf = { log_level = "notice", successful_severity = "info", client_errors_severity = "notice",
      server_errors_severity = "crit", facility = "local0" }
    for name, value in pairs(over or {}) do
      conf[name] = value
    end
    enqueued = {}
    local gateway = fake.new("syslog", { status = status })
    fake.run(gateway, "log", conf)
    return enqueued[1]
  end

  it("chooses the severity by status, and leaves out what is below the level", function()
    assert.is_nil(log(200))
    assert.matches("^<133>%a%a%a [ %d]%d %d%d:%d%d:%d%d kong%[7%]: {}$", log(404))
    assert.matches("^<130>", log(500))
    assert.matches("^<130>", log(nil))
    assert.matches("^<14>", log(200, { log_level = "debug", facility = "user" }))
  end)
end)
