local fake = require "plugins.fake_gateway"
local mime = require "mime"

local CONSUMERS = {
  [4] = { id = "id-alice", username = "alice-in-kong" },
  [5] = { id = "id-anon", username = "nobody" },
}
local CREDENTIALS = {
  [2] = { id = "cred-1", kind = "basicauth", key = "alice", username = "alice", password = "se:same",
    owner = 4, consumer = { id = "id-alice" } },
  [3] = { id = "cred-2", kind = "basicauth", key = "bob", username = "bob", hashed = true,
    password = "SHA1 OF openid-alice", owner = 4, consumer = { id = "id-alice" } },
  [6] = { id = "cred-3", kind = "keyauth", key = "carol", password = "x", owner = 4 },
  [7] = { id = "cred-4", kind = "basicauth", key = "empty", username = "empty", password = "",
    owner = 4, consumer = { id = "id-alice" } },
}

local function basic(text)
  return "Basic " .. (mime.b64(text) or "")
end

local function access(spec, more, prepare)
  spec.consumers, spec.credentials = CONSUMERS, CREDENTIALS
  local conf = { hide_credentials = true, realm = "service" }
  for name, value in pairs(more or {}) do
    conf[name] = value
  end
  local self = fake.new("basic-auth", spec)
  if prepare then
    prepare(self)
  end
  return self, fake.run(self, "access", conf)
end

local function assert_refused(answer, challenge)
  assert.same({ 401, "Unauthorized", challenge or 'Basic realm="service"' },
    { answer.status, answer.message, answer.headers["WWW-Authenticate"] })
end

describe("basic-auth", function()
  it("has Kong's priority", function()
    assert.same(1100, fake.new("basic-auth", {}).handler.PRIORITY)
  end)

  it("takes username and password, and says who it is", function()
    local self, answer = access({ headers = { Authorization = basic("alice:se:same"),
      ["X-Consumer-Groups"] = "admin", ["X-Anonymous-Consumer"] = "true" } })
    assert.is_nil(answer)
    assert.same({ 4, 2 }, { self.consumer, self.credential })
    assert.same({ "id-alice", "alice-in-kong", "alice" }, { fake.sent(self, "X-Consumer-ID"),
      fake.sent(self, "X-Consumer-Username"), fake.sent(self, "X-Credential-Identifier") })
    for _, name in ipairs({ "Authorization", "X-Consumer-Groups", "X-Anonymous-Consumer" }) do
      assert.is_nil(fake.sent(self, name))
    end
  end)

  it("takes any case of the scheme, and spaces around", function()
    for _, value in ipairs({ "basic  %s", " BASIC %s " }) do
      local _, answer = access({ headers = { Authorization = value:format(mime.b64("alice:se:same")) } })
      assert.is_nil(answer)
    end
  end)

  it("compares with hashed passwords", function()
    local self, answer = access({ headers = { Authorization = basic("bob:open") } })
    assert.same({ nil, 3 }, { answer, self.credential })
    answer = select(2, access({ headers = { Authorization = basic("bob:sha1 of openid-alice") } }))
    assert_refused(answer)
  end)

  it("prefers Proxy-Authorization, and hides only what it used", function()
    local self, answer = access({ headers = { ["Proxy-Authorization"] = basic("alice:se:same"),
      Authorization = "Bearer for-the-upstream" } })
    assert.is_nil(answer)
    assert.same({ "Bearer for-the-upstream" },
      { fake.sent(self, "Authorization"), fake.sent(self, "Proxy-Authorization") })
    self = access({ headers = { ["Proxy-Authorization"] = "Bearer x", Authorization = basic("alice:se:same") } })
    assert.same(2, self.credential)
  end)

  it("leaves credentials on the request when told so", function()
    local self = access({ headers = { Authorization = basic("alice:se:same") } }, { hide_credentials = false })
    assert.same(basic("alice:se:same"), fake.sent(self, "Authorization"))
  end)

  it("refuses everything else", function()
    for _, value in ipairs({
      basic("alice:wrong"), basic("alice:"), basic("alice"), basic(":se:same"), basic(""), basic("ghost:"),
      basic("ghost:se:same"), basic("carol:x"), "Basic", "Basic !!!", "Bearer " .. mime.b64("alice:se:same"),
      mime.b64("alice:se:same"), { basic("alice:se:same"), basic("alice:se:same") },
    }) do
      local self, answer = access({ headers = { Authorization = value } })
      assert_refused(answer)
      assert.is_nil(self.consumer)
    end
    local _, answer = access({}, { realm = 'a "b"' })
    assert_refused(answer, [[Basic realm="a \"b\""]])
  end)

  it("takes an empty password only where it is configured", function()
    local self = access({ headers = { Authorization = basic("empty:") } })
    assert.same(7, self.credential)
  end)

  it("runs as the anonymous consumer", function()
    for _, headers in ipairs({ {}, { Authorization = basic("alice:wrong"), ["X-Consumer-ID"] = "me" } }) do
      local self, answer = access({ headers = headers }, { anonymous = "nobody" })
      assert.is_nil(answer)
      assert.same({ 5, "true", "id-anon" }, { self.consumer, fake.sent(self, "X-Anonymous-Consumer"),
        fake.sent(self, "X-Consumer-ID") })
    end
    assert.error_matches(function()
      access({}, { anonymous = "ghost" })
    end, "basic-auth: anonymous consumer 'ghost' is not in the configuration", nil, true)
  end)

  it("leaves a client alone that another plugin has identified", function()
    local function prepare(self)
      self.consumer, self.credential = 4, 6
    end
    local self, answer = access({}, { anonymous = "nobody" }, prepare)
    assert.same({ nil, 6 }, { answer, self.credential })
    answer = select(2, access({}, nil, prepare))
    assert_refused(answer)
  end)
end)
