local fake = require "plugins.fake_gateway"

local CONSUMERS = {
  [4] = { id = "id-alice", username = "alice", custom_id = "007" },
  [5] = { id = "id-anon", username = "nobody" },
}
local CREDENTIALS = {
  [2] = { id = "cred-1", kind = "keyauth", key = "sesame", owner = 4 },
  [3] = { id = "cred-2", kind = "basicauth", key = "sesame2", owner = 4 },
}

local function conf(more)
  local out = { key_names = { "apikey" }, key_in_header = true, key_in_query = true,
    key_in_body = false, hide_credentials = true, run_on_preflight = true }
  for name, value in pairs(more or {}) do
    out[name] = value
  end
  return out
end

local function access(spec, more, prepare)
  spec.consumers, spec.credentials = CONSUMERS, CREDENTIALS
  local self = fake.new("key-auth", spec)
  if prepare then
    prepare(self)
  end
  return self, fake.run(self, "access", conf(more))
end

local function assert_refused(answer, status, message, challenge)
  assert.same({ status, message }, { answer.status, answer.message })
  assert.same(challenge, answer.headers and answer.headers["WWW-Authenticate"])
end

describe("key-auth", function()
  it("has Kong's priority", function()
    assert.same(1250, fake.new("key-auth", {}).handler.PRIORITY)
  end)

  it("finds the key in a header and says who it belongs to", function()
    local self, answer = access({ headers = { apikey = "sesame" } })
    assert.is_nil(answer)
    assert.same({ 4, 2 }, { self.consumer, self.credential })
    assert.same({ "id-alice", "alice", "007", "cred-1" }, {
      fake.sent(self, "X-Consumer-ID"), fake.sent(self, "X-Consumer-Username"),
      fake.sent(self, "X-Consumer-Custom-ID"), fake.sent(self, "X-Credential-Identifier") })
    assert.is_nil(fake.sent(self, "apikey"))
    assert.is_nil(fake.sent(self, "X-Anonymous-Consumer"))
  end)

  it("finds it in the query, however it is written, and takes it off", function()
    for _, query in ipairs({ "a=1&apikey=sesame&b=%20", "a=1&api%6bey=sesame&b=%20" }) do
      local self, answer = access({ query = query })
      assert.is_nil(answer)
      assert.same("a=1&b=%20", self.query)
    end
  end)

  it("takes it off everywhere, and nowhere when told so", function()
    local spec = { headers = { apikey = "sesame" }, query = "apikey=other&x=1" }
    local self = access(spec)
    assert.same({ nil, "x=1" }, { fake.sent(self, "apikey"), self.query })
    self = access(spec, { hide_credentials = false })
    assert.same({ "sesame", "apikey=other&x=1" }, { fake.sent(self, "apikey"), self.query })
  end)

  it("finds it in a JSON body and splices it out", function()
    local self, answer = access({ headers = { ["Content-Type"] = "application/json" },
      body = '{"apikey":"sesame","a":1}' }, { key_in_body = true })
    assert.is_nil(answer)
    assert.same({ a = 1 }, self.json)
  end)

  it("finds it in a form and writes the form without it", function()
    local self, answer = access({ headers = { ["Content-Type"] = "application/x-www-form-urlencoded" },
      body = "x", form = { apikey = "sesame", a = "1" } }, { key_in_body = true })
    assert.is_nil(answer)
    assert.same({ a = "1" }, self.form)
  end)

  it("looks only where it may", function()
    for _, case in ipairs({ { "key_in_header", { headers = { apikey = "sesame" } } },
      { "key_in_query", { query = "apikey=sesame" } } }) do
      local _, answer = access(case[2], { [case[1]] = false })
      assert_refused(answer, 401, "No API key found in request", "Key")
    end
    local _, answer = access({ headers = { ["Content-Type"] = "application/json" },
      body = '{"apikey":"sesame"}' })
    assert_refused(answer, 401, "No API key found in request", "Key")
  end)

  it("tries the names in their order", function()
    local names = { "x-one", "x-two" }
    local self = access({ headers = { ["X-Two"] = "sesame" } }, { key_names = names })
    assert.same(4, self.consumer)
    local _, answer = access({ headers = { ["X-One"] = "wrong", ["X-Two"] = "sesame" } }, { key_names = names })
    assert_refused(answer, 401, "Unauthorized", "Key")
  end)

  it("refuses what is no key with Kong's texts", function()
    for _, case in ipairs({
      { {}, "No API key found in request" },
      { { headers = { apikey = "" } }, "No API key found in request" },
      { { query = "apikey" }, "No API key found in request" },
      { { headers = { apikey = { "sesame", "sesame" } } }, "Duplicate API key found" },
      { { query = "apikey=sesame&apikey=sesame" }, "Duplicate API key found" },
      { { query = "apikey=sesame&%61pikey=x" }, "Duplicate API key found" },
      { { headers = { apikey = "wrong" } }, "Unauthorized" },
      { { headers = { apikey = "sesame2" } }, "Unauthorized" }, -- another plugin's credential
    }) do
      local self, answer = access(case[1])
      assert_refused(answer, 401, case[2], "Key")
      assert.is_nil(self.consumer)
    end
  end)

  it("refuses bodies with Kong's texts", function()
    local json = { ["Content-Type"] = "application/json; charset=utf-8" }
    for _, case in ipairs({
      { { headers = json, body = '{"apikey":["sesame"]}' }, 401, "Duplicate API key found", "Key" },
      { { headers = json, body = '{"apikey":7}' }, 401, "No API key found in request", "Key" },
      { { headers = json, body = "" }, 401, "No API key found in request", "Key" },
      { { headers = { ["Content-Type"] = "text/plain" }, body = "apikey=sesame" }, 401,
        "No API key found in request", "Key" },
      { { headers = json, body = "{" }, 400, "Cannot process request body" },
      { { headers = json, body_error = "too large" }, 413, "Cannot process request body" },
    }) do
      local _, answer = access(case[1], { key_in_body = true })
      assert_refused(answer, case[2], case[3], case[4])
    end
  end)

  it("names the realm", function()
    local _, answer = access({}, { realm = 'my "realm"' })
    assert_refused(answer, 401, "No API key found in request", [[Key realm="my \"realm\""]])
  end)

  it("runs as the anonymous consumer, by id or username", function()
    for _, name in ipairs({ "nobody", "id-anon" }) do
      for _, spec in ipairs({ {}, { headers = { apikey = "wrong", ["X-Credential-Identifier"] = "me" } } }) do
        local self, answer = access(spec, { anonymous = name })
        assert.is_nil(answer)
        assert.same({ 5, "true", "nobody" }, { self.consumer, fake.sent(self, "X-Anonymous-Consumer"),
          fake.sent(self, "X-Consumer-Username") })
        assert.is_nil(fake.sent(self, "X-Credential-Identifier"))
        assert.is_nil(fake.sent(self, "X-Consumer-Custom-ID"))
      end
    end
  end)

  it("fails when the anonymous consumer does not exist", function()
    assert.error_matches(function()
      access({}, { anonymous = "ghost" })
    end, "anonymous consumer 'ghost' is not in the configuration", nil, true)
  end)

  it("leaves a client alone that another plugin has identified", function()
    local self, answer = access({ headers = { ["X-Consumer-ID"] = "set by the other" } },
      { anonymous = "nobody" }, function(self) self.consumer, self.credential = 4, 3 end)
    assert.is_nil(answer)
    assert.same({ 4, 3, "set by the other" }, { self.consumer, self.credential, fake.sent(self, "X-Consumer-ID") })
    local _, second = access({}, nil, function(this) this.consumer, this.credential = 4, 3 end)
    assert_refused(second, 401, "No API key found in request", "Key") -- without anonymous: both are needed
  end)

  it("never forwards identity headers that the client made up", function()
    local forged = { apikey = "sesame", ["X-Consumer-Groups"] = "admin", ["X-Anonymous-Consumer"] = "true",
      ["X-Consumer-ID"] = { "a", "b" } }
    local self = access({ headers = forged })
    assert.same({ "id-alice" }, { fake.sent(self, "X-Consumer-ID"), fake.sent(self, "X-Consumer-Groups"),
      fake.sent(self, "X-Anonymous-Consumer") })
    self = access({ method = "OPTIONS", headers = forged }, { run_on_preflight = false })
    assert.is_nil(fake.sent(self, "X-Consumer-ID"))
  end)

  it("lets OPTIONS pass when told so", function()
    local _, answer = access({ method = "OPTIONS" }, { run_on_preflight = false })
    assert.is_nil(answer)
    _, answer = access({ method = "OPTIONS" })
    assert_refused(answer, 401, "No API key found in request", "Key")
  end)
end)
