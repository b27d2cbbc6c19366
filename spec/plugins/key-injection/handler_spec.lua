local fake = require "plugins.fake_gateway"

local function conf(more)
  local out = { allow_override = false, remove_headers = { "Authorization", "apikey" },
    remove_query = { "apikey", "key" } }
  for name, value in pairs(more) do
    out[name] = value
  end
  return out
end

-- What gets tokens: asked for conf.oauth2, gives the token or why not that stands in it.
package.preload["moongate.auth.client_credentials"] = function()
  return { token = function(oauth2) return oauth2.token, oauth2.why end }
end

local function access(config, spec)
  local self = fake.new("key-injection", spec or {})
  return self, fake.run(self, "access", conf(config))
end

local HEADER = { header_name = "Authorization", header_value = "Bearer ours" }
local QUERY = { param_name = "key", param_value = "ours & more", param_location = "query" }
local BODY = { param_name = "api_key", param_value = 'o"urs', param_location = "body" }

local function with(base, more)
  local out = {}
  for _, t in ipairs({ base, more }) do
    for name, value in pairs(t) do
      out[name] = value
    end
  end
  return out
end

describe("key-injection", function()
  teardown(function()
    package.preload["moongate.auth.client_credentials"] = nil
  end)

  it("runs after every plugin that may log or echo what the client sent", function()
    assert.is_true(fake.new("key-injection", {}).handler.PRIORITY < 2)
  end)

  it("replaces the client's credential in a header", function()
    local self = access(HEADER, { headers = { Authorization = { "Bearer mine", "Bearer too" }, apikey = "k" } })
    assert.same({ "Bearer ours" }, { fake.sent(self, "Authorization"), fake.sent(self, "apikey") })
  end)

  it("keeps the client's own where that is allowed", function()
    local keep = with(HEADER, { allow_override = true })
    assert.same("Bearer mine", fake.sent(access(keep, { headers = { Authorization = "Bearer mine" } }), "Authorization"))
    assert.same("Bearer ours", fake.sent(access(keep), "Authorization"))
  end)

  it("makes Basic credentials", function()
    local self = access({ basic = { username = "me", password = "p:w" } }, { headers = { Authorization = "Bearer mine" } })
    assert.same("Basic bWU6cDp3", fake.sent(self, "Authorization"))
    local keep = { basic = { username = "me", password = "pw" }, allow_override = true }
    assert.same("Bearer mine", fake.sent(access(keep, { headers = { Authorization = "Bearer mine" } }), "Authorization"))
  end)

  it("sends a token, or nothing", function()
    local oauth2 = { client_id = "c", client_secret = "s", token = "t1" }
    assert.same("Bearer t1", fake.sent(access({ oauth2 = oauth2 }), "Authorization"))
    local _, answer = access({ oauth2 = { client_id = "c", client_secret = "s", why = "down" } })
    assert.same({ 503, "the upstream's credential cannot be had now" }, { answer.status, answer.message })
  end)

  it("puts it in the query and takes the client's off, however they are written", function()
    local self = access(QUERY, { query = "a=1&k%65y=mine&apikey=k&b" })
    assert.same("a=1&b&key=ours%20%26%20more", self.query)
    assert.same("key=ours%20%26%20more", access(QUERY).query)
    self = access(with(QUERY, { allow_override = true }), { query = "key=mine&apikey=k" })
    assert.same("key=mine", self.query)
  end)

  it("cleans the query with a header credential too, and leaves others alone", function()
    assert.same("a=1", access(HEADER, { query = "a=1&key=mine" }).query)
    assert.same("a=%20&&b", access(HEADER, { query = "a=%20&&b" }).query)
    assert.is_nil(access(HEADER).query)
  end)

  it("puts it in a JSON body", function()
    local self, answer = access(BODY, { body = '{"a":1,"api_key":"mine"}' })
    assert.is_nil(answer)
    assert.same({ a = 1, api_key = 'o"urs' }, self.json)
    self = access(with(BODY, { allow_override = true }), { body = '{"api_key":"mine"}' })
    assert.same({ api_key = "mine" }, self.json)
  end)

  it("refuses bodies that cannot carry it", function()
    for _, case in ipairs({
      { { headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }, body = "a=1" }, 415,
        "it must be JSON (Content-Type: application/json)" },
      { { headers = { ["Content-Type"] = "multipart/form-data; boundary=x" } }, 415,
        "it must be JSON (Content-Type: application/json)" },
      { { body = "[" }, 400, "it must be a JSON object: not an object" },
      { { body = "" }, 400, "it must be a JSON object: not an object" },
      { { body_error = "too large" }, 413, "too large" },
    }) do
      local _, answer = access(BODY, case[1])
      assert.same({ case[2], "request body cannot carry the upstream's credential: " .. case[3] },
        { answer.status, answer.message })
    end
    local _, answer = access(BODY, { headers = { ["Content-Type"] = "application/vnd.x+json; charset=utf-8" }, body = "{}" })
    assert.is_nil(answer)
  end)

  it("sends nothing when the secret is missing or unusable, and does not say what it is", function()
    for _, case in ipairs({ { with(HEADER, { header_value = "" }), "config.header_value is empty" },
      { with(QUERY, { param_value = "" }), "config.param_value is empty" },
      { with(BODY, { param_value = "" }), "config.param_value is empty" },
      { { basic = { username = "ours", password = "" } }, "config.basic.password is empty" },
      { { oauth2 = { client_id = "ours", client_secret = "" } }, "config.oauth2.client_secret is empty" },
      { with(HEADER, { header_value = "Bearer ours\n" }), "config.header_value holds a byte" } }) do
      local ok, err = pcall(access, case[1], { body = "{}" })
      assert.is_false(ok)
      assert.matches(case[2], err, 1, true)
      assert.is_nil(err:find("ours", 1, true))
    end
  end)
end)
