-- What the policy asks of a client and makes of its answers. The script itself runs in a real server:
-- spec/e2e/plugins/rate-limiting_spec.lua.

local conf = { redis = { host = "cache", port = 6379, timeout = 100, database = 0 } }
local plan = { n = 2, starts = { 60, 3600 }, lengths = { 60, 3600 }, limits = { 5, 10.5 },
  periods = { "minute", "hour" } }

describe("limits.redis", function()
  local redis, client, clock, log

  local function call(name, ...)
    log[#log + 1] = { name, ... }
    local answer = client[name]
    if type(answer) == "function" then
      return answer(...)
    elseif answer == nil then
      return true
    end
    return answer
  end

  local function fake_client()
    local methods = setmetatable({ _sock = { sslhandshake = function(_, ...)
      return call("sslhandshake", ...)
    end } }, { __index = function(_, name)
      return function(_, ...)
        return call(name, ...)
      end
    end })
    return methods
  end

  before_each(function()
    clock, log = 100, {}
    client = { get_reused_times = 0, eval = { 1, 1, 1 } }
    package.loaded["moongate.abi.node"] = { mono = function() return clock end }
    package.loaded["moongate.abi.crypto"] = { sha256 = function(s) return "h" .. s end, hex = function(s) return s end }
    package.loaded["resty.redis"] = { new = fake_client }
    package.loaded["moongate.redis.client"] = nil
    package.loaded["moongate.limits.redis"] = nil
    redis = require "moongate.limits.redis"
  end)

  local function calls(name)
    local out = {}
    for _, entry in ipairs(log) do
      if entry[1] == name then
        out[#out + 1] = entry
      end
    end
    return out
  end

  it("asks once, with a key and a limit for each window", function()
    client.eval = { 1, 3, 4 }
    local taken, used = redis.take(conf, "p:1.2.3.4", plan)
    assert.same({ true, { 3, 4 } }, { taken, used })
    local eval = calls("eval")[1]
    assert.same({ 2, "ratelimit:{p:1.2.3.4}:60000:minute", "ratelimit:{p:1.2.3.4}:3600000:hour",
      "5", "60", "10.5", "3600", "1" }, { unpack(eval, 3) })
    assert.same(1, #calls("set_keepalive"))
  end)

  it("tells a refusal", function()
    client.eval = { 0, 5, 7 }
    assert.same({ false, { 5, 7 } }, { redis.take(conf, "k", plan) })
  end)

  it("authenticates, selects and encrypts new connections only", function()
    local full = { redis = { host = "cache", port = 1, timeout = 1, username = "u", password = "p",
      database = 3, ssl = true, ssl_verify = true } }
    redis.take(full, "k", plan)
    assert.same({ "auth", "u", "p" }, calls("auth")[1])
    assert.same({ "select", 3 }, calls("select")[1])
    assert.same({ "sslhandshake", nil, "cache", true }, { unpack(calls("sslhandshake")[1], 1, 4) })
    client.get_reused_times, log = 1, {}
    redis.take(full, "k", plan)
    assert.same(0, #calls("auth") + #calls("select") + #calls("sslhandshake"))
  end)

  it("shares connections only with those who have the same password", function()
    local other = { redis = { host = "cache", port = 6379, timeout = 100, database = 0, password = "p" } }
    redis.take(conf, "k", plan)
    redis.take(other, "k", plan)
    redis.take(conf, "k", plan)
    local pools = {}
    for i, entry in ipairs(calls("connect")) do
      pools[i] = entry[4].pool
    end
    assert.same(pools[1], pools[3])
    assert.not_same(pools[1], pools[2])
  end)

  it("says which server failed and why, and leaves it alone for a second", function()
    client.connect = function() return nil, "connection refused" end
    assert.same({ nil, "redis cache:6379: connection refused" }, { redis.take(conf, "k", plan) })
    client.connect = nil
    local taken, why, reported = redis.take(conf, "k", plan)
    assert.is_nil(taken)
    assert.same({ "redis cache:6379: connection refused", true }, { why, reported })
    assert.same(1, #calls("connect"))
    clock = clock + 1
    assert.is_true((redis.take(conf, "k", plan)))
  end)

  it("asks again on a fresh connection when a pooled one was dead", function()
    local n = 0
    client.get_reused_times = 1
    client.eval = function()
      n = n + 1
      if n == 1 then
        return nil, "closed"
      end
      return { 1, 1, 1 }
    end
    assert.is_true((redis.take(conf, "k", plan)))
    assert.same({ 2, 1 }, { #calls("connect"), #calls("close") })
  end)

  it("does not ask again after a time-out or an error of the server", function()
    client.get_reused_times = 1
    for _, case in ipairs({ { nil, "timeout" }, { false, "NOAUTH Authentication required." } }) do
      log, clock = {}, clock + 10
      client.eval = function() return case[1], case[2] end
      assert.same({ nil, "redis cache:6379: " .. case[2] }, { redis.take(conf, "k", plan) })
      assert.same(1, #calls("eval"))
    end
  end)

  it("refuses answers it does not know", function()
    for _, answer in ipairs({ "OK", 7, { 1 }, { 1, "x", 2 }, { 1, 2, 3, 4 } }) do
      clock = clock + 10
      client.eval = function() return answer end
      assert.same({ nil, "redis cache:6379: unexpected answer" }, { redis.take(conf, "k", plan) })
    end
  end)
end)
