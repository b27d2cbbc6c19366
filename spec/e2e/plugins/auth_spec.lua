-- basic-auth, hmac-auth, jwt and acl in a gateway: what the client and the upstream see.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local mime = require("mime")
local site = require("e2e.support.site")
local tokens = require("e2e.support.tokens")

local ALICE = "8a8a8a8a-0000-4000-8000-000000000001"
local SECRET = "shared-secret"
local UNAUTHORIZED = { message = "Unauthorized" }

-- Bytes that the openssl program makes of a text.
local function openssl(arguments, text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  local pipe = assert(io.popen("openssl " .. arguments .. " -binary " .. path))
  local out = pipe:read("*a")
  pipe:close()
  os.remove(path)
  return (assert(out ~= "" and out, "openssl says nothing"))
end

local function hmac(name, text)
  return openssl(("dgst -%s -hmac %s"):format(name, SECRET), text)
end

local function base64url(text)
  return (mime.b64(text):gsub("+", "-"):gsub("/", "_"):gsub("=", ""))
end

local function basic(text)
  return { Authorization = "Basic " .. mime.b64(text) }
end

local function hs(bits, claims)
  local text = base64url(('{"alg":"HS%d"}'):format(bits)) .. "." .. base64url(cjson.encode(claims))
  return text .. "." .. base64url(hmac("sha" .. bits, text))
end

local function http_date(offset)
  return os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + (offset or 0))
end

local function route(name, plugins)
  return ("- name: %s\n  service: app\n  paths: [/%s]\n  strip_path: false\n  plugins:\n%s\n"):format(name, name, plugins)
end

local function jwt_secrets()
  local lines = {}
  for _, case in ipairs(tokens) do
    lines[#lines + 1] = ("  - {key: %s, algorithm: %s, rsa_public_key: %s}"):format(case.algorithm, case.algorithm,
      cjson.encode(case.key):gsub("\\/", "/"))
  end
  return table.concat(lines, "\n")
end

local MORE = "routes:\n"
  .. route("basic", "  - name: basic-auth")
  .. route("hmac", "  - {name: hmac-auth, config: {enforce_headers: [date, request-line], validate_request_body: true}}")
  .. route("jwt", "  - {name: jwt, config: {claims_to_verify: [exp], cookie_names: [token], realm: gate}}")
  .. route("any", [[
  - {name: basic-auth, config: {anonymous: nobody}}
  - {name: jwt, config: {anonymous: nobody}}]])
  .. route("both", "  - {name: basic-auth}\n  - {name: key-auth}")
  .. route("staff", "  - {name: basic-auth}\n  - {name: acl, config: {allow: [staff]}}")
  .. route("nostaff", "  - {name: basic-auth}\n  - {name: acl, config: {deny: [staff]}}")
  .. route("gold", "  - {name: basic-auth}\n  - {name: acl, config: {allow: [gold], include_consumer_groups: true}}")
  .. route("open", "  - {name: acl, config: {deny: [staff]}}")
  .. [[
consumer_groups: [{name: gold}]
consumers:
- id: ]] .. ALICE .. [[

  username: alice
  custom_id: "007"
  groups: [{name: gold}]
  acls: [{group: staff}, {group: ops}]
  keyauth_credentials: [{key: sesame}]
  basicauth_credentials: [{username: al, password: "open:sesame"}]
  hmacauth_credentials: [{username: al, secret: ]] .. SECRET .. [[}]
  jwt_secrets:
  - {key: hs256, secret: ]] .. SECRET .. [[}
  - {key: hs384, algorithm: HS384, secret: ]] .. SECRET .. [[}
  - {key: hs512, algorithm: HS512, secret: ]] .. SECRET .. [[}
]] .. jwt_secrets() .. [[

- username: bob
  basicauth_credentials: [{username: bob, password: b}]
- username: nobody
]]

describe("authentication", function()
  local gw, up

  setup(function()
    gw, up = site.start({ more = MORE })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  local function seen(response)
    assert.status(200, response)
    return response:json().headers
  end

  local function refused(response, message, challenge)
    assert.gateway_error(401, response)
    assert.same(message, response:json().message)
    assert.header(challenge, response, "WWW-Authenticate")
  end

  describe("by basic-auth", function()
    it("says who the client is, and hides the password", function()
      local headers = basic("al:open:sesame")
      headers["X-Consumer-Username"], headers["X-Anonymous-Consumer"] = "root", "true"
      local got = seen(client.get(gw, "/basic", headers))
      assert.same({ "alice", "007", ALICE, "al" }, { got["x-consumer-username"], got["x-consumer-custom-id"],
        got["x-consumer-id"], got["x-credential-identifier"] })
      assert.same({}, { got.authorization, got["x-anonymous-consumer"] })
    end)

    it("refuses everybody else", function()
      for _, headers in ipairs({ {}, basic("al:x"), basic("al:open:sesam"), basic("ghost:x"), { Authorization = "Basic" } }) do
        refused(client.get(gw, "/basic", headers), "Unauthorized", 'Basic realm="service"')
      end
    end)
  end)

  describe("by hmac-auth", function()
    -- opts: body, digest, path (signed), date, algorithm.
    local function send(opts)
      local date = http_date(opts.date)
      local digest = opts.body and "SHA-256=" .. mime.b64(openssl("dgst -sha256", opts.digest or opts.body)) or nil
      local method = opts.body and "POST" or "GET"
      local text = ("date: %s\n%s %s HTTP/1.1%s"):format(date, method, opts.path or "/hmac?a=%20b",
        digest and "\ndigest: " .. digest or "")
      local algorithm = opts.algorithm or "sha256"
      return client.request({ to = gw, method = method, path = "/hmac?a=%20b", body = opts.body, headers = {
        Date = date, Digest = digest,
        Authorization = ('hmac username="al", algorithm="hmac-%s", headers="date request-line%s", signature="%s"'):format(
          algorithm, digest and " digest" or "", mime.b64(hmac(algorithm, text))),
      } })
    end

    it("takes every algorithm that is allowed", function()
      for _, algorithm in ipairs({ "sha224", "sha256", "sha384", "sha512" }) do
        local got = seen(send({ algorithm = algorithm }))
        assert.same({ "alice", "al", nil }, { got["x-consumer-username"], got["x-credential-identifier"], got.authorization })
      end
      refused(send({ algorithm = "sha1" }), "HMAC signature cannot be verified", "hmac")
    end)

    it("covers request line, date and body", function()
      seen(send({ body = "hello" }))
      refused(send({ body = "hello", digest = "hallo" }), "HMAC signature does not match", "hmac")
      refused(send({ path = "/hmac" }), "HMAC signature does not match", "hmac")
      refused(send({ date = -400 }), "HMAC signature cannot be verified, a valid date or x-date header is required "
        .. "for HMAC Authentication", "hmac")
      refused(client.get(gw, "/hmac"), "Unauthorized", "hmac")
    end)
  end)

  describe("by jwt", function()
    local function send(token, path)
      return client.get(gw, path or "/jwt", { Authorization = "Bearer " .. token })
    end

    local function bad(response, body)
      assert.status(401, response)
      assert.same(body, response:json())
      assert.header('Bearer realm="gate", error="invalid_token"', response, "WWW-Authenticate")
    end

    for _, case in ipairs(tokens) do
      it("verifies " .. case.algorithm, function()
        local got = seen(send(case.token))
        assert.same({ "alice", case.algorithm }, { got["x-consumer-username"], got["x-credential-identifier"] })
        -- The last character may hold bits that mean nothing; one before does not.
        local changed = case.token:gsub("(.)(.)$", function(c, last) return (c == "A" and "B" or "A") .. last end)
        bad(send(changed), { message = "Invalid signature" })
        bad(send((case.token:gsub("[^.]+$", ""))), { message = "Invalid signature" })
      end)
    end

    it("verifies secrets", function()
      for _, bits in ipairs({ 256, 384, 512 }) do
        local token = hs(bits, { iss = "hs" .. bits, exp = os.time() + 60 })
        assert.same("alice", seen(send(token))["x-consumer-username"])
      end
    end)

    it("looks into the query and cookies", function()
      local token = hs(256, { iss = "hs256", exp = os.time() + 60 })
      seen(client.get(gw, "/jwt?jwt=" .. token))
      seen(client.get(gw, "/jwt", { Cookie = "a=b; token=" .. token }))
      bad(client.get(gw, "/jwt?jwt=" .. token, { Cookie = "token=" .. tokens[1].token }), { message = "Multiple tokens provided" })
    end)

    it("refuses with Kong's bodies", function()
      local response = client.get(gw, "/jwt")
      assert.same(UNAUTHORIZED, response:json())
      assert.header('Bearer realm="gate"', response, "WWW-Authenticate")
      bad(send("x"), { message = "Bad token; invalid JSON" })
      bad(send(hs(256, { iss = "hs256", exp = os.time() - 1 })), { exp = "token expired" })
      bad(send(hs(256, { iss = "hs256" })), { exp = "must be a number" })
      bad(send(hs(256, { iss = "ghost" })), { message = "No credentials found for given 'iss'" })
      bad(send(hs(256, { iss = "RS256" })), { message = "Invalid algorithm" })
    end)
  end)

  describe("by several plugins", function()
    it("takes any of them when there is an anonymous consumer", function()
      assert.same("alice", seen(client.get(gw, "/any", basic("al:open:sesame")))["x-consumer-username"])
      assert.same("alice", seen(client.get(gw, "/any", { Authorization = "Bearer " .. tokens[1].token }))["x-consumer-username"])
      for _, headers in ipairs({ {}, basic("al:wrong"), { Authorization = "Bearer x", ["X-Consumer-ID"] = ALICE } }) do
        local got = seen(client.get(gw, "/any", headers))
        assert.same({ "nobody", "true", nil }, { got["x-consumer-username"], got["x-anonymous-consumer"],
          got["x-credential-identifier"] })
        assert.not_same(ALICE, got["x-consumer-id"])
      end
    end)

    it("wants all of them otherwise", function()
      local headers = basic("al:open:sesame")
      refused(client.get(gw, "/both", headers), "No API key found in request", "Key")
      headers.apikey = "sesame"
      seen(client.get(gw, "/both", headers))
      refused(client.get(gw, "/both", { apikey = "sesame" }), "Unauthorized", 'Basic realm="service"')
    end)
  end)

  describe("and acl", function()
    local function answer(path, headers)
      local response = client.get(gw, path, headers)
      if response.status == 403 then
        assert.gateway_error(403, response)
        assert.same("You cannot consume this service", response:json().message)
      end
      return response.status, response.status == 200 and response:json().headers["x-consumer-groups"] or nil
    end

    it("lets groups pass, or not", function()
      local alice, bob = basic("al:open:sesame"), basic("bob:b")
      alice["X-Consumer-Groups"], bob["X-Consumer-Groups"] = "admin", "staff"
      assert.same({ 200, "staff, ops" }, { answer("/staff", alice) })
      assert.same({ 403 }, { answer("/staff", bob) })
      assert.same({ 403 }, { answer("/nostaff", alice) })
      assert.same({ 200 }, { answer("/nostaff", bob) })
      assert.same({ 200, "staff, ops, gold" }, { answer("/gold", alice) })
      assert.same({ 403 }, { answer("/gold", bob) })
    end)

    it("asks for credentials when nobody is known", function()
      refused(client.get(gw, "/open", { ["X-Consumer-Groups"] = "ops" }), "Unauthorized", nil)
    end)
  end)
end)

describe("credentials hashed as in Kong's database", function()
  it("are compared with the digest", function()
    local digest = openssl("dgst -sha1", "open" .. ALICE):gsub(".", function(c) return ("%02X"):format(c:byte()) end)
    local gw, up = site.start({ route = "plugins: [{name: basic-auth}]", more = ([[
_transform: false
consumers:
- {id: %s, username: alice, basicauth_credentials: [{username: al, password: %s}]}
]]):format(ALICE, digest) })
    assert.status(200, client.get(gw, "/", basic("al:open")))
    assert.status(401, client.get(gw, "/", basic("al:" .. digest)))
    site.stop(gw, up)
  end)
end)

describe("an anonymous consumer that does not exist", function()
  it("fails requests, and is named in the log", function()
    local gw, up = site.start({ route = "plugins: [{name: jwt, config: {anonymous: ghost}}]" })
    gw:expect_error("anonymous consumer 'ghost' is not in the configuration")
    assert.gateway_error(500, client.get(gw, "/"))
    gw:wait_log("jwt: anonymous consumer 'ghost' is not in the configuration")
    site.stop(gw, up)
  end)
end)

describe("a configuration with mistakes", function()
  it("is refused with Kong's texts", function()
    for yaml, text in pairs({
      ["{name: acl, config: {allow: [a], deny: [b]}}"] = "exactly one of these fields must be non-empty",
      ["{name: jwt, config: {maximum_expiration: 60}}"] = "expected to contain: exp",
      ["{name: hmac-auth, config: {algorithms: [hmac-md5]}}"] = "expected one of: hmac-sha1, hmac-sha224",
      ["{name: basic-auth, config: {brute_force_protection: {strategy: redis}}}"] = "strategy 'redis' is not supported",
    }) do
      local config = site.config("http://127.0.0.1:1", { route = "plugins: [" .. yaml .. "]" })
      local result = gateway.command({ "check" }, { config = config })
      assert.same(1, result.code)
      assert.matches(text, result.output, nil, true)
    end
  end)
end)
