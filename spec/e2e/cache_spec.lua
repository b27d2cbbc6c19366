-- kong.cache and kong.worker_events over several workers: made once, known to all, forgotten by all; heard by all.

require("e2e.support.expect")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")

local ROOT = os.getenv("MOONGATE_ROOT") or assert(io.popen("pwd")):read("*l")
local CLIENTS = 16 -- connections: both workers get some

describe("kong.cache in two workers", function()
  local gw, up

  setup(function()
    gw, up = site.start({ more = "plugins:\n- name: cacher\n", workers = 2,
      settings = { plugin_dirs = ROOT .. "/spec/e2e" } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  -- Answers to as many clients at once.
  local function ask(key, what)
    local conns, out = {}, {}
    for i = 1, CLIENTS do
      conns[i] = client.connect(gw)
      conns[i]:write({ path = "/", headers = { ["X-Key"] = key, ["X-Do"] = what } })
    end
    for i = 1, CLIENTS do
      out[i] = conns[i]:answer():json()
      conns[i]:close()
    end
    return out
  end

  local function distinct(answers, read)
    local seen, n = {}, 0
    for _, answer in ipairs(answers) do
      local value = read(answer)
      n = n + (seen[value] and 0 or 1)
      seen[value] = true
    end
    return n
  end

  local function pid(answer)
    return answer.pid
  end

  local function at(answer)
    return answer.value.at
  end

  it("makes a value once for all of them", function()
    local answers = ask("once")
    assert.same(2, distinct(answers, pid))
    assert.same(1, distinct(answers, at))
    assert.same(1, select(2, gw:errors():gsub("making once", "")))
    assert.same(1, distinct(ask("once"), at))
    assert.same(1, select(2, gw:errors():gsub("making once", "")))
  end)

  it("forgets and renews in all of them", function()
    local before = at(ask("gone")[1])
    for _, what in ipairs({ "invalidate", "purge", "renew" }) do
      client.request({ to = gw, path = "/", headers = { ["X-Key"] = "gone", ["X-Do"] = what } })
      local answers = ask("gone")
      assert.same({ 2, 1 }, { distinct(answers, pid), distinct(answers, at) }, what)
      assert.truthy(at(answers[1]) > before, what)
      before = at(answers[1])
    end
  end)

  it("is told of events by any of them", function()
    client.request({ to = gw, path = "/", headers = { ["X-Key"] = "news", ["X-Do"] = "post" } })
    local pids = sched.wait_until(function()
      local seen = {}
      for number in gw:errors():gmatch("heard news in (%d+)") do
        seen[#seen + 1] = number
      end
      return #seen >= 2 and seen
    end, nil, "two workers that heard the news")
    assert.same(2, #pids)
    assert.is_true(pids[1] ~= pids[2])
  end)

  it("makes it elsewhere when the maker's client has left", function()
    local leaver = client.connect(gw)
    leaver:write({ path = "/", headers = { ["X-Key"] = "left" } })
    gw:wait_log("making left")
    leaver:close()
    local conns = {}
    for i = 1, CLIENTS do
      conns[i] = client.connect(gw)
      conns[i]:write({ path = "/", headers = { ["X-Key"] = "left" } })
    end
    sched.wait_until(function()
      return select(2, gw:errors():gsub("making left", "")) == 2
    end, 3, "another maker")
    for i = 1, CLIENTS do
      conns[i]:close()
    end
  end)
end)
