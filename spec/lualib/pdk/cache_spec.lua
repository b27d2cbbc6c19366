-- kong.cache: levels, times, one maker over all workers, and what is forgotten where.

local failure = require("lualib.pdk.failure")
local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()
local new = require("moongate.pdk.cache").new

before_each(function()
  fake:reset()
  kong.cache:purge()
end)

describe("kong.cache", function()
  local calls

  local function value_of(value, err, ttl)
    return function()
      calls = calls + 1
      return value, err, ttl
    end
  end

  local generation = 1

  before_each(function()
    calls = 0
    generation = generation + 2
    fake.generation = generation
  end)

  it("makes a value once, nil too", function()
    assert.same("v", kong.cache:get("k", nil, value_of("v")))
    assert.same("v", kong.cache:get("k", nil, value_of("w")))
    assert.is_nil(kong.cache:get("n", nil, value_of(nil)))
    assert.is_nil(kong.cache:get("n", nil, value_of("x")))
    assert.same(2, calls)
  end)

  it("keeps it for its time", function()
    kong.cache:get("k", { ttl = 10, neg_ttl = 1 }, value_of("v"))
    kong.cache:get("n", { ttl = 10, neg_ttl = 1 }, value_of(nil))
    kong.cache:get("own", { ttl = 10 }, value_of("v", nil, 2))
    fake.mono = 102
    assert.same("v", kong.cache:get("k", nil, value_of("new")))
    assert.same("new", kong.cache:get("n", nil, value_of("new")))
    assert.same("new", kong.cache:get("own", nil, value_of("new")))
    assert.same(8, (kong.cache:probe("k")))
    fake.mono = 110
    assert.same("new", kong.cache:get("k", nil, value_of("new")))
  end)

  it("keeps no errors", function()
    local value, err = kong.cache:get("k", nil, value_of(nil, "down"))
    assert.is_nil(value)
    assert.same("down", err)
    value, err = kong.cache:get("k", nil, function()
      error("bang", 0)
    end)
    assert.is_nil(value)
    assert.same("callback threw an error: bang", err)
    assert.same("v", kong.cache:get("k", nil, value_of("v")))
  end)

  it("forgets a key, and everything with a new configuration", function()
    kong.cache:get("k", nil, value_of("v"))
    kong.cache:invalidate("k")
    assert.same("w", kong.cache:get("k", nil, value_of("w")))
    fake.generation = fake.generation + 1
    assert.same("x", kong.cache:get("k", nil, value_of("x")))
    fake.generation = fake.generation - 1
    assert.same("old", kong.cache:get("k", nil, value_of("old")))
    fake.generation = fake.generation + 1
    assert.same("x", kong.cache:get("k", nil, value_of("y")))
  end)

  it("keeps nothing that was made while another configuration came, or all was forgotten", function()
    for _, meanwhile in ipairs({ function() fake.generation = fake.generation + 1 end, function() kong.cache:purge() end }) do
      local value, err, level = kong.cache:get("slow", nil, function()
        meanwhile()
        kong.cache:get("other", nil, value_of("o")) -- a request that comes then
        return "before"
      end)
      assert.same({ "before", nil, 3 }, { value, err, level })
      assert.same("after", kong.cache:get("slow", nil, value_of("after")))
      assert.is_nil((select(2, kong.cache:get("other", nil, value_of("o")))))
      kong.cache:invalidate("slow")
    end
  end)

  it("stays within its size", function()
    for i = 1, 12000 do
      kong.cache:get("k" .. i, nil, value_of(print)) -- a function is no text: this worker's alone
    end
    assert.is_nil(kong.cache:probe("k1"))
    assert.same(print, (select(3, kong.cache:probe("k12000"))))
  end)

  describe("asked for a key that is being made", function()
    local wait = require("moongate.abi.wait")
    local parked
    local key, last = nil, 0

    -- A thread that asks for the key; `made` is what its callback yields, then returns.
    local function ask(made)
      local thread = { values = {} }
      thread.co = coroutine.create(function()
        thread.values = { kong.cache:get(key, nil, function()
          calls = calls + 1
          return coroutine.yield("loading") or made
        end) }
      end)
      coroutine.resume(thread.co)
      return thread
    end

    before_each(function()
      parked, last = {}, last + 1
      key = "held" .. last
      wait.park_id = function()
        return #parked + 1
      end
      wait.park = function(timeout_s)
        parked[#parked + 1] = coroutine.running()
        assert.same(0.05, timeout_s)
        return coroutine.yield("parked")
      end
      wait.unpark = function(id)
        return coroutine.resume(parked[id], true)
      end
    end)

    it("waits for it", function()
      local first, second = ask("one"), ask("two")
      assert.same(1, #parked)
      coroutine.resume(first.co)
      assert.same({ "one", nil, 3 }, first.values)
      assert.same({ "one", nil, 1 }, second.values)
      assert.same(1, calls)
    end)

    it("makes it itself after the wait's end", function()
      ask("one")
      local second = ask("two")
      coroutine.resume(second.co, nil, "timeout")
      assert.same(1, calls)
      fake.mono = fake.mono + 5
      coroutine.resume(second.co, nil, "timeout")
      assert.same(2, calls)
      coroutine.resume(second.co)
      assert.same({ "two", nil, 3 }, second.values)
    end)

    it("makes it itself once its maker has died", function()
      ask("one")
      local second = ask("two")
      fake:end_task()
      coroutine.resume(second.co, nil, "timeout")
      assert.same(2, calls)
    end)

    it("does not wait where it cannot", function()
      ask("one")
      fake:set_may_wait(false)
      ask("two")
      assert.same(2, calls)
      assert.same(0, #parked)
      fake:set_may_wait(true)
    end)
  end)

  it("tells from which level a value came", function()
    assert.same({ "v", nil, 3 }, { kong.cache:get("k", nil, value_of("v")) })
    assert.same({ "v", nil, 1 }, { kong.cache:get("k", nil, value_of("w")) })
    assert.same({ nil, nil, -1 }, { kong.cache:get("none") })
  end)

  it("does not keep what the callback says not to keep", function()
    assert.same("v", (kong.cache:get("k", { ttl = 10 }, value_of("v", nil, -1))))
    assert.same("w", (kong.cache:get("k", nil, value_of("w"))))
  end)

  it("stands in with the value before while the callback fails", function()
    local options = { ttl = 10, resurrect_ttl = 30 }
    kong.cache:get("k", options, value_of({ a = 1 }))
    fake.mono = fake.mono + 11
    assert.same({ { a = 1 }, nil, 4 }, { kong.cache:get("k", options, value_of(nil, "down")) })
    assert.matches("callback of 'k' failed (down): the value before is used for 30 s more", fake.logged[1].text, 1, true)
    assert.same({ { a = 1 }, nil, 1 }, { kong.cache:get("k", options, value_of("new")) })
    fake.mono = fake.mono + 31
    assert.same("new", (kong.cache:get("k", options, value_of("new"))))
    fake.mono = fake.mono + 11
    assert.same({ nil, "down" }, { kong.cache:get("k", { ttl = 10 }, value_of(nil, "down")) })
  end)

  it("renews, whatever is there", function()
    kong.cache:get("k", nil, value_of("v"))
    assert.same({ "w", nil, 7 }, { kong.cache:renew("k", { ttl = 7 }, value_of("w")) })
    assert.same("w", (kong.cache:get("k", nil, value_of("x"))))
    assert.same({ nil, "down" }, { kong.cache:renew("k", nil, value_of(nil, "down")) })
  end)

  it("gets several at once", function()
    kong.cache:get("a", nil, value_of("old"))
    local results = kong.cache:get_bulk({
      "a", nil, value_of("new"), nil, "b", { ttl = 5 }, function(x) return x end, "arg", "c", nil, value_of(nil, "down"), nil,
      n = 12,
    })
    local seen = {}
    for i, value, err, level in kong.cache.each_bulk_res(results) do
      seen[i] = { value, err, level }
    end
    assert.same({ { "old", nil, 1 }, { "arg", nil, 3 }, { nil, "down", nil } }, seen)
    assert.same({ "bulk must have n field", true }, { failure(kong.cache.get_bulk, kong.cache, {}) })
  end)

  it("refuses what it cannot take", function()
    local cases = {
      { { 7 }, "key must be a string" }, { { "k", 7 }, "opts must be a table" },
      { { "k", { ttl = "1" } }, "opts.ttl must be a number" }, { { "k", { neg_ttl = -1 } }, "opts.neg_ttl must be >= 0" },
      { { "k", { l1_serializer = 1 } }, "opts.l1_serializer must be a function" },
      { { "k", nil, "x" }, "callback must be nil or a function" },
    }
    for _, case in ipairs(cases) do
      assert.same({ case[2], true }, { failure(kong.cache.get, kong.cache, unpack(case[1], 1, 3)) })
    end
  end)

  it("runs a serializer on what this worker keeps", function()
    local options = { l1_serializer = function(v)
      return "<" .. v .. ">"
    end }
    assert.same("<v>", (kong.cache:get("k", options, value_of("v"))))
    assert.same("<v>", (kong.cache:get("k", options, value_of("w"))))
    for text, serializer in pairs({
      ["l1_serializer returned a nil value"] = function() end,
      ["l1_serializer threw an error: bang"] = function() error("bang", 0) end,
      ["no"] = function() return nil, "no" end,
    }) do
      assert.same({ nil, text }, { (select(1, kong.cache:get(text, { l1_serializer = serializer }, value_of("v")))),
        (select(2, kong.cache:get(text, { l1_serializer = serializer }, value_of("v")))) })
    end
  end)

  describe("with other workers", function()
    local other

    before_each(function()
      other = new("db", "kong_db_cache", "kong_db_cache_miss")
      other:probe("k")
    end)

    it("gives them what one has made: texts, tables, nil and what is left of the time", function()
      kong.cache:get("text", { ttl = 10 }, value_of("v"))
      kong.cache:get("table", nil, value_of({ list = {}, deep = { a = { 1, 2 } } }))
      kong.cache:get("nothing", { neg_ttl = 5 }, value_of(nil))
      kong.cache:get("no", nil, value_of(false))
      fake.mono = fake.mono + 4
      assert.same({ 6, nil, "v" }, { other:probe("text") })
      assert.same({ "v", nil, 2 }, { other:get("text", nil, value_of("x")) })
      assert.same({ list = {}, deep = { a = { 1, 2 } } }, (other:get("table", nil, value_of("x"))))
      assert.same({ nil, nil, 2 }, { other:get("nothing", nil, value_of("x")) })
      assert.is_false((other:get("no", nil, value_of("x"))))
      assert.same(4, calls)
      fake.mono = fake.mono + 6
      assert.same("x", (other:get("nothing", nil, value_of("x"))))
      assert.same("x", (other:get("text", nil, value_of("x"))))
    end)

    it("serializes for each of them", function()
      kong.cache:get("k", nil, value_of("v"))
      assert.same("v!", (other:get("k", { l1_serializer = function(v) return v .. "!" end }, value_of("x"))))
    end)

    it("keeps to itself what is no text", function()
      for name, value in pairs({ fn = print, mixed = { 1, a = 2 }, sparse = { [5] = 1 }, nan = { 0 / 0 } }) do
        kong.cache:get(name, nil, value_of(value))
        assert.same("own", (other:get(name, nil, value_of("own"))), name)
      end
    end)

    it("forgets in all of them", function()
      kong.cache:get("k", nil, value_of("v"))
      other:get("k", nil, value_of("x"))
      kong.cache:invalidate("k")
      assert.same("new", (other:get("k", nil, value_of("new"))))
      assert.same("new", (kong.cache:get("k", nil, value_of("x"))))
      other:invalidate_local("k")
      assert.same("newer", (kong.cache:get("k", nil, value_of("newer"))))
      kong.cache:purge()
      assert.same("newest", (other:get("k", nil, value_of("newest"))))
    end)

    it("renews in all of them", function()
      kong.cache:get("k", nil, value_of("v"))
      other:get("k", nil, value_of("x"))
      kong.cache:renew("k", nil, value_of("new"))
      assert.same("new", (other:get("k", nil, value_of("x"))))
    end)

    it("forgets everything when it cannot know what", function()
      other:get("k", nil, value_of(print))
      for i = 1, 1001 do
        kong.cache:invalidate("other" .. i)
      end
      assert.same("new", (other:get("k", nil, value_of("new"))))
    end)

    it("shares nothing between configurations", function()
      kong.cache:get("k", nil, value_of("v"))
      fake.generation = fake.generation + 1
      assert.same("new", (other:get("k", nil, value_of("new"))))
    end)

    describe("one makes a value", function()
      local wait = require("moongate.abi.wait")
      local timers

      before_each(function()
        fake.workers, timers = 2, {}
        wait.sleep = function(seconds)
          fake.mono = fake.mono + seconds
          return coroutine.yield("asleep")
        end
        wait.timer_at = function(_, fn)
          timers[#timers + 1] = fn
          return true
        end
      end)

      local function thread(cache, value)
        local out = {}
        out.co = coroutine.create(function()
          out.values = { cache:get("locked", nil, function()
            calls = calls + 1
            return coroutine.yield("loading") or value
          end) }
        end)
        out.state = select(2, coroutine.resume(out.co))
        return out
      end

      it("while the others wait for it", function()
        local first = thread(kong.cache, "one")
        local second = thread(other, "two")
        assert.same({ "loading", "asleep" }, { first.state, second.state })
        assert.same("asleep", (select(2, coroutine.resume(second.co))))
        coroutine.resume(first.co)
        coroutine.resume(second.co)
        assert.same({ "one", nil, 3 }, first.values)
        assert.same({ "one", nil, 2 }, second.values)
        assert.same(1, calls)
        timers[1](false)
        assert.same(1, #timers) -- nothing is held: nobody watches
      end)

      it("and when it dies another one does", function()
        thread(kong.cache, "one")
        local second = thread(other, "two")
        fake:end_task()
        timers[1](false)
        assert.same("loading", (select(2, coroutine.resume(second.co))))
        coroutine.resume(second.co)
        assert.same({ "two", nil, 3 }, second.values)
        timers[#timers](false)
      end)

      it("keeps its lock as long as it lives", function()
        local first = thread(kong.cache, "one")
        fake.mono = fake.mono + 0.8
        timers[1](false)
        fake.mono = fake.mono + 0.8
        assert.same("asleep", thread(other, "two").state)
        coroutine.resume(first.co)
        timers[#timers](false)
      end)

      it("where nobody can wait all make it", function()
        local first = thread(kong.cache, "one")
        fake:set_may_wait(false)
        assert.same("loading", thread(other, "two").state)
        assert.same(2, calls)
        fake:set_may_wait(true)
        coroutine.resume(first.co)
        timers[1](false)
      end)
    end)
  end)
end)
