local fake = require "plugins.fake_gateway"
local log_fakes = require "plugins.log_fakes"

describe("loggly", function()
  local out

  before_each(function() out = log_fakes.open() end)
  after_each(log_fakes.close)

  local function log(status, over)
    local conf = { host = "l", port = 514, key = "k", tags = { "a", "b" }, log_level = "notice", successful_severity = "info",
      client_errors_severity = "notice", server_errors_severity = "err", timeout = 1 }
    for name, value in pairs(over or {}) do
      conf[name] = value
    end
    fake.run(fake.new("loggly", { status = status }), "log", conf)
    local last = table.remove(out.entries)
    return last and last[4], last
  end

  it("has Kong's priority", function()
    assert.same(6, fake.new("loggly", {}).handler.PRIORITY)
  end)

  it("writes messages as Loggly wants them, by severity", function()
    assert.is_nil(log(200))
    assert.matches('^<13>1 %d+%-%d%d%-%d%dT%d%d:%d%d:%d%dZ host%.1 kong %- %- %[k@41058 tag="a" tag="b"%] {"a":1}$', log(404))
    assert.matches("^<11>1 ", log(503))
    assert.matches("^<14>1 ", log(200, { log_level = "info" }))
  end)

  it("sends datagrams", function()
    local text, last = log(500)
    assert.is_true(last[2](last[3], { text }))
    assert.same({ { "udp", { host = "l", port = 514, timeout_ms = 1 }, { text } } }, out.sent)
  end)
end)
