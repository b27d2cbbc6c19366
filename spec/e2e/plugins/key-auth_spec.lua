-- key-auth in a gateway: what the client and the upstream see.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local CONSUMERS = [[
consumers:
- username: alice
  custom_id: "007"
  keyauth_credentials: [{key: sesame}, {key: "se=sa me"}]
- username: nobody
]]

local function start(config, more)
  local gw, up = site.start({
    route = "plugins:\n- name: key-auth\n  config: " .. config .. (more or ""),
    more = CONSUMERS,
  })
  return gw, up
end

describe("a route with key-auth", function()
  local gw, up

  setup(function()
    gw, up = start("{realm: gate, key_in_body: true}")
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  local function refused(response, message)
    assert.gateway_error(401, response)
    assert.same(message, response:json().message)
    assert.header('Key realm="gate"', response, "WWW-Authenticate")
  end

  it("refuses who has no key, two, or a wrong one", function()
    local before = #up.requests
    refused(client.get(gw, "/"), "No API key found in request")
    refused(client.get(gw, "/", { apikey = "wrong" }), "Unauthorized")
    refused(client.get(gw, "/", { apikey = { "sesame", "sesame" } }), "Duplicate API key found")
    refused(client.get(gw, "/?apikey=sesame&apikey=sesame"), "Duplicate API key found")
    assert.same(before, #up.requests)
  end)

  it("answers in the form the client accepts", function()
    local response = client.get(gw, "/", { Accept = "text/plain" })
    assert.status(401, response)
    assert.matches("^No API key found in request\nrequest_id: %x+\n$", response.body)
  end)

  it("says who the client is, hides the key and what the client made up", function()
    local seen = client.get(gw, "/a", { apikey = "sesame", ["X-Consumer-Groups"] = "admin",
      ["X-Consumer-Username"] = "root", ["X-Anonymous-Consumer"] = "true" }):json().headers
    assert.same({ "alice", "007" }, { seen["x-consumer-username"], seen["x-consumer-custom-id"] })
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", seen["x-consumer-id"])
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", seen["x-credential-identifier"])
    assert.same({}, { seen.apikey, seen["x-consumer-groups"], seen["x-anonymous-consumer"] })
  end)

  it("takes the key from the query, however it is written", function()
    for _, query in ipairs({ "apikey=sesame", "api%6Bey=sesame", "apikey=se%3Dsa+me", "apikey=se%3Dsa%20me" }) do
      local response = client.get(gw, "/a?x=%7E1&" .. query .. "&y")
      assert.status(200, response)
      assert.same("/a?x=%7E1&y", response:json().target)
    end
  end)

  it("takes the key from bodies and leaves the rest of them as it was", function()
    local function post(content_type, body)
      local response = client.request({ to = gw, method = "POST", headers = { ["Content-Type"] = content_type },
        body = body })
      assert.status(200, response)
      return response:json().body
    end
    assert.same('{"n":12345678901234567890, "l":[]}',
      post("application/json", '{"apikey":"sesame","n":12345678901234567890, "l":[]}'))
    assert.same("a=1", post("application/x-www-form-urlencoded", "a=1&apikey=sesame"))
    local form = "--b\r\nContent-Disposition: form-data; name=\"apikey\"\r\n\r\nsesame\r\n--b\r\n"
      .. "Content-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n"
    local left = post("multipart/form-data; boundary=b", form)
    assert.is_nil(left:find("sesame", 1, true))
    assert.matches('name="a"', left, 1, true)
  end)

  it("refuses a broken body", function()
    local response = client.request({ to = gw, method = "POST", headers = { ["Content-Type"] = "application/json" },
      body = '{"apikey":"sesame","apikey":"x"}' })
    assert.gateway_error(400, response)
    assert.same("Cannot process request body", response:json().message)
  end)

  it("writes no key into a log", function()
    client.get(gw, "/log?apikey=sesame", { apikey = "sesame" })
    local entry = gw:wait_access(function(e) return e.request.uri:find("^/log") end)
    assert.same("REDACTED", entry.request.querystring.apikey)
    assert.is_nil(gw:errors():find("sesame", 1, true))
  end)
end)

describe("key-auth with an anonymous consumer", function()
  local gw, up

  setup(function()
    gw, up = start("{anonymous: nobody, hide_credentials: false, run_on_preflight: false}")
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("lets requests without a valid key pass as that consumer", function()
    for _, headers in ipairs({ {}, { apikey = "wrong" }, { apikey = { "a", "b" } } }) do
      local seen = client.get(gw, "/", headers):json().headers
      assert.same({ "nobody", "true" }, { seen["x-consumer-username"], seen["x-anonymous-consumer"] })
    end
    local seen = client.get(gw, "/", { apikey = "sesame" }):json().headers
    assert.same({ "alice", "sesame" }, { seen["x-consumer-username"], seen.apikey })
    assert.is_nil(seen["x-anonymous-consumer"])
  end)

  it("does not ask OPTIONS, and forwards no made-up identity", function()
    local seen = client.request({ to = gw, method = "OPTIONS", headers = { ["X-Consumer-ID"] = "me" } }):json().headers
    assert.is_nil(seen["x-consumer-id"])
    assert.is_nil(seen["x-consumer-username"])
  end)
end)

describe("key-auth with an anonymous consumer that does not exist", function()
  local gw, up

  setup(function()
    gw, up = start("{anonymous: ghost}")
    gw:expect_error("anonymous consumer 'ghost' is not in the configuration")
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("fails closed", function()
    assert.gateway_error(500, client.get(gw, "/"))
    assert.status(200, client.get(gw, "/", { apikey = "sesame" }))
    assert.same(1, #up.requests)
  end)
end)
