local fake = require "plugins.fake_gateway"

local function access(ip, conf)
  local self = fake.new("ip-restriction", { ip = ip })
  return fake.run(self, "access", conf), self
end

local function passes(ip, conf)
  return access(ip, conf) == nil
end

describe("ip-restriction", function()
  it("has Kong's priority", function()
    assert.same(990, fake.new("ip-restriction", {}).handler.PRIORITY)
  end)

  it("lets pass who is allowed", function()
    local conf = { allow = { "10.0.0.0/30", "192.168.1.7", "2001:db8::/33", "::1" } }
    for ip, want in pairs({
      ["10.0.0.3"] = true, ["10.0.0.4"] = false, ["192.168.1.7"] = true, ["192.168.1.8"] = false,
      ["2001:db8:7fff::1"] = true, ["2001:db8:8000::1"] = false, ["::1"] = true, ["::2"] = false,
      ["::ffff:10.0.0.1"] = true,
    }) do
      assert.same(want, passes(ip, conf), ip)
    end
  end)

  it("keeps out who is denied, and nobody else", function()
    local conf = { deny = { "10.0.0.0/30", "2001:db8::1" }, allow = {} }
    for ip, want in pairs({ ["10.0.0.3"] = false, ["10.0.0.4"] = true, ["2001:db8::1"] = false, ["::1"] = true }) do
      assert.same(want, passes(ip, conf), ip)
    end
  end)

  it("asks deny first", function()
    local conf = { allow = { "10.0.0.0/8" }, deny = { "10.0.0.1" } }
    assert.is_true(passes("10.0.0.2", conf))
    assert.is_false(passes("10.0.0.1", conf))
    assert.is_false(passes("11.0.0.1", conf))
  end)

  it("keeps the families apart", function()
    assert.is_false(passes("10.0.0.1", { allow = { "::/0" } }))
    assert.is_false(passes("2001:db8::1", { allow = { "0.0.0.0/0" } }))
    assert.is_true(passes("10.0.0.1", { allow = { "0.0.0.0/0" } }))
    assert.is_true(passes("2001:db8::1", { allow = { "::/0" } }))
  end)

  it("answers with Kong's text, or what is configured", function()
    local answer, self = access("10.0.0.1", { deny = { "10.0.0.1" } })
    assert.same({ 403, "IP address not allowed: 10.0.0.1" }, { answer.status, answer.message })
    assert.same({ "info: address is not allowed: 10.0.0.1" }, self.logged)
    answer = access("10.0.0.1", { deny = { "10.0.0.1" }, status = 404, message = "nothing here" })
    assert.same({ 404, "nothing here" }, { answer.status, answer.message })
  end)

  it("lets nobody pass without an address", function()
    local answer = access("unix:", { deny = { "10.0.0.1" } })
    assert.same({ 403, "Cannot identify the client IP address, unix domain sockets are not supported." },
      { answer.status, answer.message })
  end)
end)
