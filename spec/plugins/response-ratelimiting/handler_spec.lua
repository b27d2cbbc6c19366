local traffic = require "plugins.fake_traffic"

-- A policy over plain tables, with the interface of limits/*.
local function policy()
  local self = { counts = {} }
  function self.take(_, key, plan)
    if self.broken then
      return nil, self.broken
    end
    local used, full = {}, false
    for i = 1, plan.n do
      used[i] = self.counts[key .. plan.periods[i]] or 0
      full = full or used[i] + plan.cost > plan.limits[i]
    end
    for i = 1, full and 0 or plan.n do
      used[i] = used[i] + plan.cost
      self.counts[key .. plan.periods[i]] = used[i]
    end
    return not full, used
  end
  return self
end

describe("response-ratelimiting", function()
  local plugin, shared, redis, timers

  before_each(function()
    shared, redis, timers = policy(), policy(), {}
    plugin = traffic.new("response-ratelimiting", {
      ["moongate.limits.shared"] = shared, ["moongate.limits.redis"] = redis,
      ["moongate.abi.wait"] = { timer_at = function(_, fn, ...) timers[#timers + 1] = { fn, ... } return 1 end,
        timer_every = function() return 1 end },
    })
  end)

  local function conf(more)
    local out = { header_name = "x-kong-limit", limit_by = "consumer", policy = "local", fault_tolerant = true,
      limits = { video = { minute = 3, hour = 10 }, image = { day = 5 } }, __plugin_id = "p" }
    for name, value in pairs(more or {}) do
      out[name] = value
    end
    return out
  end

  -- A whole request; the answer.
  local function ask(config, units)
    local answer = plugin:access(config, { upstream_lines = units and { { "X-Kong-Limit", units } } or {},
      response_lines = units and { { "X-Kong-Limit", units } } or {} })
    if plugin.wanted.header_filter then
      answer = plugin:run("header_filter", config)
    end
    if plugin.wanted.log then
      plugin:run("log", config)
    end
    for _, timer in ipairs(timers) do
      timer[1](false, unpack(timer, 2))
    end
    timers = {}
    return answer
  end

  for _, name in ipairs({ "local", "redis" }) do
    it("counts what the upstream names: " .. name, function()
      local config = conf({ policy = name })
      assert.is_nil(ask(config, "video=2, image"))
      assert.same({ "3", "1", "10", "8", "5", "4" }, {
        plugin:answered("X-RateLimit-Limit-video-Minute"), plugin:answered("X-RateLimit-Remaining-video-Minute"),
        plugin:answered("X-RateLimit-Limit-video-Hour"), plugin:answered("X-RateLimit-Remaining-video-Hour"),
        plugin:answered("X-RateLimit-Limit-image-Day"), plugin:answered("X-RateLimit-Remaining-image-Day") })
      assert.is_nil(plugin:answered("X-Kong-Limit"))
      assert.same("3", plugin:sent("X-RateLimit-Remaining-video"))
      assert.is_nil(ask(config, "video=2"))
      assert.same({ "1", "0" }, { plugin:sent("X-RateLimit-Remaining-video"),
        plugin:answered("X-RateLimit-Remaining-video-Minute") })
      local answer = ask(config, "video=1")
      assert.same({ 429, '{"message":"API rate limit exceeded"}' }, { answer.status, answer.body })
      assert.is_nil(ask(config, "image=1"))
      assert.is_nil(ask(config))
    end)
  end

  it("counts nothing that is no whole number", function()
    ask(conf(), "video=-2, video=x, video=1.5, video=1e99, other=1, =, image=")
    assert.same("3", plugin:answered("X-RateLimit-Remaining-video-Minute"))
  end)

  it("blocks before the upstream where that is configured", function()
    local config = conf({ block_on_first_violation = true })
    ask(config, "video=3")
    local answer = ask(config)
    assert.same({ 429, "API rate limit exceeded" }, { answer.status, answer.message })
  end)

  it("hides its headers", function()
    ask(conf({ hide_client_headers = true }), "video=1")
    assert.is_nil(plugin:answered("X-RateLimit-Remaining-video-Minute"))
    assert.is_nil(plugin:answered("X-Kong-Limit"))
  end)

  it("counts by consumer, credential or IP", function()
    local spec = { consumers = { { id = "c" } }, credentials = { { id = "k" } }, consumer_index = 0, credential_index = 0 }
    for by, id in pairs({ consumer = "c", credential = "k", ip = "1.1.1.1" }) do
      plugin:access(conf({ limit_by = by }), spec)
      plugin.fake.upstream_lines = { { "x-kong-limit", "image=1" } }
      plugin:run("header_filter", conf({ limit_by = by }))
      assert.same(1, shared.counts["p:" .. id .. ":imageday"])
    end
  end)

  it("lets requests pass, or not, while it cannot count", function()
    redis.broken = "down"
    assert.is_nil(ask(conf({ policy = "redis" }), "video=9"))
    assert.matches("cannot count, letting requests pass: down", plugin.fake.logged[1].text, 1, true)
    assert.has_error(function()
      ask(conf({ policy = "redis", fault_tolerant = false }))
    end)
  end)
end)
