-- kong.worker_events and kong.cluster_events: who hears of what, and when.

local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()

describe("kong.worker_events", function()
  local here, there, poll, heard

  -- The module as another worker has it.
  local function another()
    package.loaded["moongate.pdk.events"] = nil
    return require("moongate.pdk.events")
  end

  local function hear(events, ...)
    events.register(function(data, event, source)
      heard[#heard + 1] = { source, event, data }
    end, ...)
  end

  -- What the other worker's timer does.
  local function look()
    fake.pid = 2
    poll(false)
    fake.pid = 1
  end

  before_each(function()
    fake:reset({ workers = 2 })
    here, there, heard = another(), another(), {}
    hear(there, "config", "changed")
    assert.same(0.2, fake.calls.timer_every[1])
    poll = fake.calls.timer_every[2]
  end)

  it("reaches the handlers of this worker at once, and only those named", function()
    hear(here, "config")
    hear(here, "config", "other")
    here.post("config", "changed", 1)
    assert.same({ { "config", "changed", 1 } }, heard)
  end)

  it("reaches the handlers of other workers when they look", function()
    here.post("config", "changed", { list = {}, n = 1 })
    here.post("config", "unheard", 1)
    assert.same({}, heard)
    look()
    assert.same({ { "config", "changed", { list = {}, n = 1 } } }, heard)
    look()
    assert.same(1, #heard)
  end)

  it("does not come twice to who posts", function()
    there.post("config", "changed", 1)
    here.post("config", "changed", 2)
    poll(false) -- both have the pid of this worker
    assert.same({ { "config", "changed", 1 } }, heard)
  end)

  it("keeps local events local", function()
    here.post_local("config", "changed", 1)
    look()
    assert.same({}, heard)
  end)

  it("goes on when a handler fails, and tells of it", function()
    there.register(function() error("bang", 0) end, "bad")
    here.post("bad", "x")
    here.post("config", "changed", 1)
    look()
    assert.same(1, #heard)
    assert.matches("worker_events: a handler of bad failed: bang", fake.logged[1].text, 1, true)
  end)

  it("says when some were missed", function()
    for i = 1, 1001 do
      here.post("config", "changed", i)
    end
    look()
    assert.matches("too many at once", fake.logged[1].text, 1, true)
  end)

  it("refuses what cannot go to other workers", function()
    local ok, err = here.post("config", "changed", print)
    assert.is_nil(ok)
    assert.matches("^the event's data cannot go to other workers: ", err)
  end)

  it("broadcasts on channels", function()
    there:subscribe("channel", function(data)
      heard[#heard + 1] = data
    end)
    here:broadcast("channel", "hello")
    look()
    assert.same({ "hello" }, heard)
  end)

  it("needs no timer with one worker", function()
    fake:reset({ workers = 1 })
    hear(another(), "config")
    assert.is_nil(fake.calls.timer_every)
    assert.is_table(kong.worker_events)
  end)
end)
