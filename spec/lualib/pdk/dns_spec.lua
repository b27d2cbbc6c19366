-- kong.dns: which of a name's records is taken.

local failure = require("lualib.pdk.failure")
local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()
local wait = require("moongate.abi.wait")

local RECORDS = {
  ["two.test"] = { { type = 1, address = "10.0.0.1", ttl = 5 }, { type = 1, address = "10.0.0.2", ttl = 5 } },
  ["_web._tcp.test"] = {
    { type = 33, target = "later.test", port = 1, priority = 20, weight = 1 },
    { type = 33, target = "one.test", port = 8080, priority = 10, weight = 1 },
  },
  ["one.test"] = { { type = 1, address = "10.0.0.9", ttl = 5 } },
}

describe("kong.dns", function()
  local asked

  before_each(function()
    fake:reset()
    asked = {}
    wait.dns_lookup = function(name, srv)
      asked[#asked + 1] = { name, srv }
      if not RECORDS[name] then
        return nil, "dns client error: 3 name error"
      end
      return RECORDS[name]
    end
  end)

  it("takes the addresses of a name by turns", function()
    local seen = {}
    for _ = 1, 4 do
      local ip, port = kong.dns.toip("two.test", 80)
      assert.same(80, port)
      seen[ip] = (seen[ip] or 0) + 1
    end
    assert.same({ ["10.0.0.1"] = 2, ["10.0.0.2"] = 2 }, seen)
  end)

  it("follows a service's name to its first priority, port included", function()
    assert.same({ "10.0.0.9", 8080 }, { kong.dns.toip("_web._tcp.test", 80) })
    assert.same({ { "_web._tcp.test", true }, { "one.test", false } }, asked)
  end)

  it("asks nobody for an address", function()
    assert.same({ "10.1.2.3", 5 }, { kong.dns.toip("10.1.2.3", 5) })
    assert.same({ "::1", 5 }, { kong.dns.toip("::1", 5) })
    assert.same({}, asked)
  end)

  it("gives records", function()
    assert.equal(RECORDS["two.test"], (kong.dns.resolve("two.test")))
    assert.equal(RECORDS["_web._tcp.test"], (kong.dns.resolve("_web._tcp.test", { qtype = kong.dns.TYPE_SRV })))
  end)

  it("tells what failed", function()
    assert.same({ nil, "dns client error: 3 name error" }, { kong.dns.toip("none.test") })
    assert.same({ "name must be a non-empty string", true }, { failure(kong.dns.toip, "") })
  end)

  it("answers what is known where nobody can wait, and says when it is not", function()
    fake:set_may_wait(false)
    assert.same("10.0.0.9", (kong.dns.toip("one.test")))
    wait.dns_lookup = function() error("no waiting here") end
    assert.same({ nil, "dns client error: the name is not known yet, and this phase cannot wait for it" },
      { kong.dns.toip("one.test") })
    fake:set_may_wait(true)
  end)
end)

describe("the upstream's TLS", function()
  it("is turned off and on by its scheme", function()
    fake:reset()
    kong.service.request.disable_tls()
    assert.same({ "http" }, fake.calls.set_scheme)
    kong.service.request.enable_tls()
    assert.same({ "https" }, fake.calls.set_scheme)
    fake:phase("log")
    assert.same("function cannot be called in log phase (only in: rewrite, access, balancer): "
      .. "kong.service.request.disable_tls", (failure(kong.service.request.disable_tls)))
  end)
end)
