-- Batches, retries, bounds and the worker's end, over a clock that stands still.

local fake_time = require "lualib.queue.fake_time"

local DROPPED = "moongate_queue_dropped_total{plugin=t}"

describe("queue", function()
  local time, queue, got, fails

  before_each(function()
    time = fake_time.new()
    queue = time.load()
    got, fails = {}, nil
  end)

  local function handler(_, batch)
    if fails then
      return nil, fails
    end
    got[#got + 1] = table.concat(batch, " ")
    return true
  end

  local function conf(options)
    local out = { name = "q", log_tag = "t" }
    for name, value in pairs(options or {}) do
      out[name] = value
    end
    return out
  end

  local function enqueue(options, ...)
    for _, entry in ipairs({ ... }) do
      assert(queue.enqueue(conf(options), handler, {}, entry))
    end
  end

  it("sends one entry at once by default", function()
    enqueue(nil, "a", "b")
    assert.same({}, got)
    time.advance(0)
    assert.same({ "a", "b" }, got)
    assert.is_false(queue.exists("q"))
  end)

  it("waits for a batch to fill", function()
    enqueue({ max_batch_size = 3, max_coalescing_delay = 5 }, "a", "b")
    time.advance(4.9)
    assert.same({}, got)
    assert.is_true(queue.exists("q"))
    enqueue({ max_batch_size = 3, max_coalescing_delay = 5 }, "c", "d")
    time.advance(0)
    assert.same({ "a b c" }, got)
    time.advance(5)
    assert.same({ "a b c", "d" }, got)
  end)

  it("tries again after delays that double up to the longest", function()
    local at = {}
    local options = { initial_retry_delay = 1, max_retry_delay = 3, max_retry_time = 60 }
    queue.enqueue(conf(options), function()
      at[#at + 1] = time.clock - 1000
      return #at == 5
    end, {}, "a")
    time.advance(60)
    assert.same({ 0, 1, 3, 6, 9 }, at)
    assert.same({}, time.counted)
  end)

  it("gives a batch up when its time is over, and goes on with the next", function()
    fails = "no such host"
    enqueue({ initial_retry_delay = 1, max_retry_time = 5, max_batch_size = 2 }, "a", "b")
    time.advance(5)
    assert.same(2, time.counted[DROPPED])
    assert.matches("4 .*giving up after 3 tries; 2 queue entries were lost: no such host$", time.log[#time.log])
    fails = nil
    enqueue(nil, "c")
    time.advance(0)
    assert.same({ "c" }, got)
  end)

  it("takes a handler that raises for one that failed", function()
    local calls = 0
    queue.enqueue(conf(), function()
      calls = calls + 1
      assert(calls > 1, "oh no")
      return true
    end, {}, "a")
    time.advance(1)
    assert.same(2, calls)
    assert.matches("oh no", time.log[1], 1, true)
  end)

  it("drops the oldest beyond max_entries, tells it once, and again when it is over", function()
    fails = "down"
    enqueue({ max_entries = 2, initial_retry_delay = 10 }, "a")
    time.advance(0) -- a is on its way
    enqueue({ max_entries = 2, initial_retry_delay = 10 }, "b", "c", "d", "e")
    assert.same(2, time.counted[DROPPED])
    local full = 0
    for _, line in ipairs(time.log) do
      full = full + (line:find("queue full, dropping old entries until processing is successful again", 1, true) and 1 or 0)
    end
    assert.same(1, full)
    fails = nil
    time.advance(10)
    assert.same({ "a", "d", "e" }, got)
    assert.matches("2 entries were dropped", time.log[#time.log], 1, true)
  end)

  it("bounds bytes, and refuses what can never fit", function()
    fails = "down"
    enqueue({ max_bytes = 4 }, "aa")
    time.advance(0)
    enqueue({ max_bytes = 4 }, "bb", "cc", "ddd")
    assert.same(2, time.counted[DROPPED])
    local ok, err = queue.enqueue(conf({ max_bytes = 4 }), handler, {}, "eeeee")
    assert.is_nil(ok)
    assert.same("string to be queued is longer (5 bytes) than the queue's max_bytes (4 bytes)", err)
    assert.same(3, time.counted[DROPPED])
    assert.is_false(queue.can_enqueue(conf({ max_bytes = 4 }), "ff"))
    assert.is_true(queue.can_enqueue(conf({ max_bytes = 4 }), "f"))
    fails = nil
    time.advance(60)
    assert.same({ "aa", "ddd" }, got)
  end)

  it("lets no entry wait for another with concurrency_limit -1", function()
    local options = { concurrency_limit = -1, initial_retry_delay = 1 }
    queue.enqueue(conf(options), function(_, batch)
      return batch[1] ~= "bad" or time.clock >= 1005
    end, {}, "bad")
    time.advance(0)
    queue.enqueue(conf(options), handler, {}, "good")
    time.advance(0)
    assert.same({ "good" }, got)
    assert.is_true(queue.exists("q"))
    time.advance(10)
    assert.is_false(queue.exists("q"))
    assert.same({}, time.counted)
  end)

  it("keeps entries when there is no timer, and sends them with the next", function()
    time.refuse = "too many pending timers"
    enqueue(nil, "a", "b")
    time.refuse = nil
    enqueue(nil, "c")
    time.advance(0)
    assert.same({ "a", "b", "c" }, got)
    assert.same(1, #time.log)
    assert.matches("too many pending timers", time.log[1], 1, true)
  end)

  it("sends what waits when the worker ends", function()
    enqueue({ max_batch_size = 10, max_coalescing_delay = 60 }, "a", "b")
    time.advance(1)
    assert.same({}, got)
    time.finish(2)
    assert.same({ "a b" }, got)
    assert.same({}, time.counted)
  end)

  it("tells and counts what is lost at the worker's end", function()
    fails = "down"
    enqueue({ initial_retry_delay = 0.5, max_retry_delay = 10 }, "a", "b", "c")
    time.advance(1)
    time.finish(2)
    assert.same(3, time.counted[DROPPED])
    assert.same({}, got)
  end)

  it("tells and counts what a handler holds that does not come back", function()
    queue.enqueue(conf(), function()
      time.wait.park()
    end, {}, "a")
    time.advance(0)
    enqueue(nil, "b")
    time.finish(2)
    assert.same(2, time.counted[DROPPED])
    assert.matches("the worker ends; 2 queue entries were lost", time.log[#time.log], 1, true)
  end)

  it("refuses misuse", function()
    assert.has_error(function() queue.enqueue({}, handler, {}, "a") end, "arg #1 (queue_conf) must be a table with a name")
    assert.has_error(function() queue.enqueue(conf(), nil, {}, "a") end, "arg #2 (handler) must be a function")
    assert.same({ nil, "entry must be a non-nil Lua value" }, { queue.enqueue(conf(), handler, {}) })
  end)

  it("makes parameters of a plugin's configuration, once", function()
    local config = { __plugin_id = "17", queue = { max_batch_size = 5 } }
    local params = queue.get_plugin_params("http-log", config)
    assert.same({ name = "http-log:17", log_tag = "http-log", max_batch_size = 5 }, params)
    assert.equal(params, queue.get_plugin_params("http-log", config))
    assert.same(7, queue.get_plugin_params("http-log", { queue_size = 7, flush_timeout = 2 }).max_batch_size)
    assert.same(1, #time.log)
    assert.same("http-log:x", queue.get_plugin_params("http-log", config, "x").name)
  end)
end)
