local fake = require "plugins.fake_gateway"
local log_fakes = require "plugins.log_fakes"

describe("udp-log", function()
  local out

  before_each(function() out = log_fakes.open() end)
  after_each(log_fakes.close)

  it("has Kong's priority", function()
    assert.same(8, fake.new("udp-log", {}).handler.PRIORITY)
  end)

  it("queues records and sends datagrams", function()
    fake.run(fake.new("udp-log", {}), "log", { host = "logs", port = 1, timeout = 2 })
    assert.is_true(log_fakes.deliver(out))
    assert.same({ { "udp", { host = "logs", port = 1, timeout_ms = 2 }, { '{"a":1}' } } }, out.sent)
  end)

  it("tells of a record that fits into no datagram", function()
    out.datagram_max = 3
    local gateway = fake.new("udp-log", {})
    fake.run(gateway, "log", { host = "logs", port = 1 })
    assert.same({ "err: a record of 7 bytes does not fit into a datagram; it is lost" }, gateway.logged)
    assert.same({}, out.entries)
  end)
end)
