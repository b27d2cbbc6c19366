local fake = require "plugins.fake_gateway"
local log_fakes = require "plugins.log_fakes"

describe("tcp-log", function()
  local out

  before_each(function() out = log_fakes.open() end)
  after_each(log_fakes.close)

  it("has Kong's priority", function()
    assert.same(7, fake.new("tcp-log", {}).handler.PRIORITY)
  end)

  it("queues lines and writes them as configured", function()
    fake.run(fake.new("tcp-log", {}), "log", { host = "logs", port = 1, timeout = 2, keepalive = 3, tls = true, tls_sni = "n",
      ssl_verify = false })
    assert.same('{"a":1}\r\n', out.entries[1][4])
    assert.is_true(log_fakes.deliver(out))
    assert.same({ { "tcp", { host = "logs", port = 1, timeout_ms = 2, keepalive_ms = 3, tls = true, sni = "n", ssl_verify = false },
      '{"a":1}\r\n' } }, out.sent)
    out.fails = "logs:1: connection refused"
    assert.same({ nil, "logs:1: connection refused" }, { log_fakes.deliver(out) })
  end)
end)
