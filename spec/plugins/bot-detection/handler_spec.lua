-- The built-in patterns need PCRE: spec/e2e/plugins/access_spec.lua tries them.
local fake = require "plugins.fake_gateway"

local RULES = require "kong.plugins.bot-detection.rules"

-- ngx.re.find that knows plain texts, and the first built-in pattern as "bot".
local function find(agent, pattern)
  if pattern == "broken" then
    return nil, nil, "pcre2_match() failed: -47"
  end
  return agent:find(pattern == RULES[1] and "bot" or pattern, 1, true)
end

local function access(agent, conf)
  local self = fake.new("bot-detection", { headers = { ["User-Agent"] = agent }, ngx = { re = { find = find } } })
  return fake.run(self, "access", conf), self
end

describe("bot-detection", function()
  it("has Kong's priority", function()
    assert.same(2500, fake.new("bot-detection", {}).handler.PRIORITY)
  end)

  it("refuses robots, and what is denied", function()
    for _, agent in ipairs({ "somebot/1.0", "wget/1.0" }) do
      local answer = access(agent, { allow = {}, deny = { "curl", "wget" } })
      assert.same({ status = 403 }, answer)
    end
  end)

  it("lets others pass, and what is allowed, and nobody in particular", function()
    assert.is_nil((access("Mozilla/5.0", { allow = {}, deny = { "wget" } })))
    assert.is_nil((access("goodbot wget", { allow = { "x", "goodbot" }, deny = { "wget" } })))
    assert.is_nil((access(nil, {})))
    assert.is_nil((access("", {})))
  end)

  it("asks once for each User-Agent, and keeps no more than it may", function()
    local asked = 0
    local self = fake.new("bot-detection", { headers = { ["User-Agent"] = "x" }, ngx = { re = { find = function()
      asked = asked + 1
    end } } })
    local function ask(agent)
      self.fields["user-agent"] = { agent }
      assert.is_nil((fake.run(self, "access", self.conf)))
      local n = asked
      asked = 0
      return n
    end
    self.conf = {}
    assert.same({ #RULES, 0, #RULES, 0 }, { ask("a"), ask("a"), ask("b"), ask("a") })
    local long = ("x"):rep(513)
    assert.same({ #RULES, #RULES }, { ask(long), ask(long) })
    for i = 1, 1024 do
      ask("agent " .. i)
    end
    assert.same({ #RULES, 0 }, { ask("a"), ask("a") })
  end)

  it("refuses two User-Agents", function()
    local answer = access({ "Mozilla/5.0", "bot" }, {})
    assert.same({ 400, "Only one User-Agent header allowed" }, { answer.status, answer.message })
  end)

  it("says when it cannot match, and asks on", function()
    local answer, self = access("somebot", { deny = { "broken" } })
    assert.same({ status = 403 }, answer)
    assert.same({ "err: cannot match User-Agent with 'broken': pcre2_match() failed: -47" }, self.logged)
  end)
end)
