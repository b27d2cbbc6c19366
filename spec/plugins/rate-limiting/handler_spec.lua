local fake = require "plugins.fake_gateway"

local NOW = 1700000000.25 -- 20 s into a minute, 13 min 20 s into an hour

local function conf(more)
  local out = { __plugin_id = "p", policy = "local", limit_by = "ip", fault_tolerant = true, error_code = 429,
    error_message = "API rate limit exceeded" }
  for name, value in pairs(more) do
    out[name] = value
  end
  return out
end

-- Runs a request whose policy answers with `result`; the third value is what the policy was asked.
local function access(config, result, spec)
  local asked
  local policy = { take = function(_, key, plan)
    asked = { key = key, starts = { unpack(plan.starts) }, lengths = { unpack(plan.lengths) },
      limits = plan.limits, n = plan.n }
    return unpack(result, 1, 3)
  end }
  package.loaded["moongate.limits.shared"], package.loaded["moongate.limits.redis"] = policy, policy
  spec = spec or {}
  spec.now = NOW
  local self = fake.new("rate-limiting", spec)
  for name, value in pairs(spec.state or {}) do
    self[name] = value
  end
  return self, fake.run(self, "access", conf(config)), asked
end

local function key(config, spec)
  config.minute = 5
  return select(3, access(config, { true, { 1 } }, spec)).key
end

describe("rate-limiting", function()
  after_each(function()
    package.loaded["moongate.limits.shared"], package.loaded["moongate.limits.redis"] = nil, nil
  end)

  it("has Kong's priority", function()
    assert.same(910, fake.new("rate-limiting", {}).handler.PRIORITY)
  end)

  it("asks for all windows at once", function()
    local _, _, asked = access({ minute = 5, hour = 50 }, { true, { 1, 1 } })
    assert.same({ 1699999980, 1699999200 }, asked.starts)
    assert.same({ 60, 3600 }, asked.lengths)
    assert.same({ 5, 50 }, asked.limits)
  end)

  it("tells the client about each window and the tightest", function()
    local self, answer = access({ minute = 5, hour = 50 }, { true, { 2, 47 } })
    assert.is_nil(answer)
    assert.same({
      ["X-RateLimit-Limit-Minute"] = "5", ["X-RateLimit-Remaining-Minute"] = "3",
      ["X-RateLimit-Limit-Hour"] = "50", ["X-RateLimit-Remaining-Hour"] = "3",
      ["RateLimit-Limit"] = "50", ["RateLimit-Remaining"] = "3", ["RateLimit-Reset"] = "2800",
    }, self.response)
    self = access({ minute = 5, hour = 50 }, { true, { 3, 47 } })
    assert.same({ "5", "2", "40" }, { self.response["RateLimit-Limit"],
      self.response["RateLimit-Remaining"], self.response["RateLimit-Reset"] })
  end)

  it("refuses with Kong's answer and says when to come back", function()
    local self, answer = access({ minute = 5 }, { false, { 5 } })
    assert.same({ 429, "API rate limit exceeded" }, { answer.status, answer.message })
    assert.same({ "40", "40", "0" }, { self.response["Retry-After"], self.response["RateLimit-Reset"],
      self.response["X-RateLimit-Remaining-Minute"] })
    local _, other = access({ minute = 5, error_code = 503, error_message = "later" }, { false, { 5 } })
    assert.same({ 503, "later" }, { other.status, other.message })
  end)

  it("keeps quiet when told so", function()
    local self, answer = access({ minute = 5, hide_client_headers = true }, { false, { 5 } })
    assert.same({}, self.response)
    assert.same(429, answer.status)
  end)

  it("counts by consumer, then credential, then address", function()
    local who = { consumers = { { id = "c" } }, credentials = { { id = "k" } } }
    who.state = { consumer = 1, credential = 1 }
    assert.same("p:c", key({ limit_by = "consumer" }, who))
    assert.same("p:k", key({ limit_by = "credential" }, who))
    who.state = { credential = 1 }
    assert.same("p:k", key({ limit_by = "consumer" }, who))
    assert.same("p:10.0.0.1", key({ limit_by = "consumer" }))
    assert.same("p:10.0.0.1", key({ limit_by = "credential" }))
  end)

  it("counts a group together", function()
    local who = { consumers = { { id = "c", consumer_groups = { 2 } } }, state = { consumer = 1 },
      groups = '[{"id":"g0"},{"id":"g1"}]' }
    assert.same("p:g1", key({ limit_by = "consumer-group" }, who))
    who.consumers[1].consumer_groups = {}
    assert.same("p:c", key({ limit_by = "consumer-group" }, who))
  end)

  it("counts by service, path and header", function()
    assert.same("p:s", key({ limit_by = "service" }, { service = { id = "s" } }))
    assert.same("p:/a", key({ limit_by = "path", path = "/a" }, { path = "/a" }))
    assert.same("p:10.0.0.1", key({ limit_by = "path", path = "/a" }, { path = "/b" }))
    assert.same("p:10.0.0.1", key({ limit_by = "header", header_name = "X-Who" }))
  end)

  it("never uses a header's value as it is: it may be a secret or somebody's address", function()
    assert.same("p:sha256 of 10.0.0.2", key({ limit_by = "header", header_name = "X-Who" },
      { headers = { ["X-Who"] = "10.0.0.2" } }))
  end)

  it("lets requests pass without headers when counting fails, and says so once", function()
    local self, answer = access({ minute = 5, policy = "redis" }, { nil, "redis: gone" })
    assert.is_nil(answer)
    assert.same({}, self.response)
    assert.same({ "err: cannot count, letting requests pass: redis: gone" }, self.logged)
    self = access({ minute = 5, policy = "redis" }, { nil, "redis: gone", true })
    assert.same({}, self.logged)
  end)

  it("fails when counting fails and that is configured", function()
    assert.error_matches(function()
      access({ minute = 5, policy = "redis", fault_tolerant = false }, { nil, "redis: gone" })
    end, "rate-limiting: cannot count: redis: gone", nil, true)
  end)
end)
