-- key-injection with a user or an OAuth client, before a real token endpoint.

require("e2e.support.expect")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local upstream = require("e2e.support.upstream")

local MORE = [[
routes:
- name: basic
  paths: ["/basic"]
  service: {name: app}
  plugins:
  - name: key-injection
    config: {basic: {username: me, password: "{vault://env/up-password}"}}
- name: oauth2
  paths: ["/oauth2"]
  service: {name: app}
  plugins:
  - name: key-injection
    config: {oauth2: {token_url: "%s/token", client_id: me, client_secret: "{vault://env/up-password}", scope: "read"}}
- name: down
  paths: ["/down"]
  service: {name: app}
  plugins:
  - name: key-injection
    config: {oauth2: {token_url: "http://127.0.0.1:%d/token", client_id: me, client_secret: x}}
- name: secure
  paths: ["/secure"]
  service: {name: app}
  plugins:
  - name: key-injection
    config: {oauth2: {token_url: "%s/token", client_id: me, client_secret: x}}
]]

describe("key-injection", function()
  local gw, up, issuer, secure, life

  local function token()
    return { headers = { ["Content-Type"] = "application/json" },
      chunks = { '{"access_token":"token-', ('%d","expires_in":%g}'):format(#issuer.requests, life) } }
  end

  setup(function()
    life = 3600
    issuer = upstream.start({ answer = token })
    secure = upstream.start({ tls = true, answer = token })
    gw, up = site.start({ env = { UP_PASSWORD = "pw-7731" }, workers = 2,
      more = MORE:format(issuer.url, upstream.refused_port(), secure.url) })
    gw:expect_error("no token for the upstream: 127.0.0.1:%d+: ")
  end)

  teardown(function()
    site.stop(gw, up)
    issuer:stop()
    secure:stop()
  end)

  it("sends a user's credentials", function()
    assert.same("Basic bWU6cHctNzczMQ==", client.get(gw, "/basic", { Authorization = "mine" }):json().headers.authorization)
  end)

  it("gets one token for all requests of all workers", function()
    issuer:answer(function(request)
      issuer.connections[request.conn_index]:sleep(0.05)
      return token()
    end)
    local connections = {}
    for i = 1, 8 do
      connections[i] = client.connect(gw)
      connections[i]:write({ path = "/oauth2", headers = { Authorization = "mine" } })
    end
    for i = 1, 8 do
      assert.same("Bearer token-1", connections[i]:answer():json().headers.authorization)
      connections[i]:close()
    end
    local seen = issuer:last()
    assert.same({ 1, "grant_type=client_credentials&scope=read", "Basic bWU6cHctNzczMQ==" },
      { #issuer.requests, seen.body, seen:header("authorization") })
  end)

  it("refuses requests while no token is to be had, and says no secret", function()
    local before = #up.requests
    for _ = 1, 2 do
      local response = client.get(gw, "/down")
      assert.gateway_error(503, response)
      assert.same("the upstream's credential cannot be had now", response:json().message)
    end
    assert.same(before, #up.requests)
  end)

  it("trusts no token server without a good certificate", function()
    assert.gateway_error(503, client.get(gw, "/secure"))
    assert.same(0, #secure.requests)
    assert.is_nil(gw:errors():find("7731", 1, true))
  end)

  it("renews a token before it ends", function()
    life = 0.5
    gw:reload((site.config(up.url, { more = MORE:format(issuer.url, 1, secure.url):gsub("scope: \"read\"", "scope: short") })))
    sched.wait_until(function()
      return client.get(gw, "/oauth2"):json().headers.authorization == "Bearer token-2"
    end)
    sched.wait_until(function()
      return client.get(gw, "/oauth2"):json().headers.authorization == "Bearer token-3"
    end)
  end)
end)
