local fake = require "plugins.fake_gateway"

local CONSUMERS = {
  [1] = { id = "a", groups = { "dev", "ops" }, consumer_groups = { 2, 1, 9 } },
  [2] = { id = "b", groups = {}, consumer_groups = {} },
  [3] = { id = "c", groups = { "guests" } },
}
local CREDENTIALS = { [7] = { id = "cred" } }
local DEV, GUESTS = { allow = { "dev" } }, { deny = { "guests" } }

-- who: index of the consumer, or nil; anonymous: without a credential.
local function access(who, conf, more)
  more = more or {}
  local self = fake.new("acl", { consumers = CONSUMERS, credentials = CREDENTIALS, headers = more.headers,
    shared = { authenticated_groups = more.groups }, groups = '[{"name":"silver"},{"name":"dev"}]' })
  self.consumer, self.credential = who, not more.anonymous and 7 or nil
  return self, fake.run(self, "access", conf)
end

local function assert_refused(status, answer)
  assert.same({ status, status == 403 and "You cannot consume this service" or nil }, { answer.status, answer.message })
end

local function with(conf, more)
  for name, value in pairs(conf) do
    more[name] = value
  end
  return more
end

describe("acl", function()
  it("has Kong's priority", function()
    assert.same(950, fake.new("acl", {}).handler.PRIORITY)
  end)

  it("lets groups pass that are allowed", function()
    local self, answer = access(1, DEV)
    assert.same({ nil, "dev, ops" }, { answer, fake.sent(self, "X-Consumer-Groups") })
    for _, who in ipairs({ 2, 3 }) do
      assert_refused(403, select(2, access(who, DEV)))
    end
  end)

  it("lets everybody pass who is not denied", function()
    for _, who in ipairs({ 1, 2 }) do
      assert.is_nil((select(2, access(who, GUESTS))))
    end
    assert_refused(403, select(2, access(3, GUESTS)))
    assert.is_nil((select(2, access(2, { allow = {}, deny = { "guests" } }))))
  end)

  it("asks for credentials where there are none", function()
    assert_refused(401, select(2, access(nil, DEV, { anonymous = true })))
    assert_refused(401, select(2, access(nil, GUESTS, { anonymous = true })))
    assert_refused(401, select(2, access(2, DEV, { anonymous = true })))
    assert_refused(403, select(2, access(nil, DEV))) -- a credential without a consumer
    assert_refused(403, select(2, access(3, DEV, { anonymous = true })))
  end)

  it("treats the anonymous consumer by its groups", function()
    assert.is_nil((select(2, access(1, DEV, { anonymous = true }))))
    assert.is_nil((select(2, access(2, GUESTS, { anonymous = true }))))
    assert_refused(403, select(2, access(3, GUESTS, { anonymous = true })))
  end)

  it("never forwards groups that the client made up", function()
    local forged = { ["X-Consumer-Groups"] = "admin", ["X-Authenticated-Groups"] = "admin" }
    for _, conf in ipairs({ GUESTS, with(GUESTS, { hide_groups_header = true }) }) do
      local self = access(2, conf, { headers = forged })
      assert.is_nil(fake.sent(self, "X-Consumer-Groups"))
      assert.is_nil(fake.sent(self, "X-Authenticated-Groups"))
    end
  end)

  it("hides the groups when told so", function()
    local self, answer = access(1, with(DEV, { hide_groups_header = true }))
    assert.same({ nil, nil }, { answer, fake.sent(self, "X-Consumer-Groups") })
  end)

  it("takes groups found elsewhere for clients without a consumer", function()
    local self, answer = access(nil, DEV, { groups = { "dev", "x", dev = "dev" } })
    assert.same({ nil, "dev, x" }, { answer, fake.sent(self, "X-Authenticated-Groups") })
    assert.is_nil(fake.sent(self, "X-Consumer-Groups"))
    assert_refused(403, select(2, access(nil, DEV, { groups = { "x" } })))
    assert_refused(403, select(2, access(nil, { deny = { "x" } }, { groups = { "x" } })))
    assert.is_nil((select(2, access(2, DEV, { groups = { "dev" }, anonymous = true }))))
  end)

  it("takes them before the consumer's own only when told so", function()
    assert_refused(403, select(2, access(2, DEV, { groups = { "dev" } })))
    local conf = with(DEV, { always_use_authenticated_groups = true })
    assert.is_nil((select(2, access(2, conf, { groups = { "dev" } }))))
    assert_refused(403, select(2, access(1, conf, { groups = { "x" } })))
    local self, answer = access(1, conf)
    assert.same({ nil, "dev, ops" }, { answer, fake.sent(self, "X-Consumer-Groups") })
  end)

  it("takes consumer groups for groups when told so", function()
    local conf = { allow = { "silver" } }
    assert_refused(403, select(2, access(1, conf)))
    local self, answer = access(1, with(conf, { include_consumer_groups = true }))
    assert.same({ nil, "dev, ops, silver" }, { answer, fake.sent(self, "X-Consumer-Groups") })
  end)
end)
