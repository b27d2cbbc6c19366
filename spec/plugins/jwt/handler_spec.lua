local cjson = require "cjson"
local fake = require "plugins.fake_gateway"
local mime = require "mime"

local NOW = 1700000000
local CONSUMERS = {
  [4] = { id = "id-alice", username = "alice", custom_id = "007" },
  [5] = { id = "id-anon", username = "nobody" },
}
local CREDENTIALS = {
  [1] = { id = "c1", kind = "jwt", key = "hs", secret = "s3cret", algorithm = "HS256", owner = 4 },
  [2] = { id = "c2", kind = "jwt", key = "rs", rsa_public_key = "key K", algorithm = "RS256", owner = 4 },
  [3] = { id = "c3", kind = "jwt", key = "bad", rsa_public_key = "no key", algorithm = "ES256", owner = 4 },
  [6] = { id = "c4", kind = "jwt", key = "hs512", secret = "czNjcmV0_-8=", algorithm = "HS512", owner = 4 },
  [7] = { id = "c5", kind = "jwt", key = "old", secret = "s3cret", owner = 4 },
  [8] = { id = "c6", kind = "keyauth", key = "other", secret = "s3cret", owner = 4 },
  [9] = { id = "c7", kind = "jwt", key = "void", secret = "", algorithm = "HS256", owner = 4 },
}

local function encode(text)
  return ((mime.b64(text) or ""):gsub("+", "-"):gsub("/", "_"):gsub("=", ""))
end

local function signed_text(alg, claims, more)
  local header = { alg = alg, typ = "JWT" }
  for name, value in pairs(more or {}) do
    header[name] = value
  end
  return encode(cjson.encode(header)) .. "." .. encode(cjson.encode(claims))
end

local function hs256(claims, secret, more)
  local text = signed_text("HS256", claims, more)
  return text .. "." .. encode(("hmac-sha256 of %s by %s"):format(text, secret or "s3cret"))
end

local function access(spec, more, prepare)
  spec.consumers, spec.credentials, spec.now = CONSUMERS, CREDENTIALS, NOW
  local conf = { uri_param_names = { "jwt" }, cookie_names = {}, header_names = { "authorization" },
    key_claim_name = "iss", secret_is_base64 = false, run_on_preflight = true, maximum_expiration = 0 }
  for name, value in pairs(more or {}) do
    conf[name] = value
  end
  local self = fake.new("jwt", spec)
  if prepare then
    prepare(self)
  end
  return self, fake.run(self, "access", conf)
end

local function bearer(token)
  return { headers = { Authorization = "Bearer " .. token } }
end

local INVALID = 'Bearer error="invalid_token"'

local function assert_refused(answer, body, challenge)
  body = type(body) == "table" and body or { message = body }
  assert.same({ 401, body, challenge or INVALID },
    { answer.status, answer.body, answer.headers["WWW-Authenticate"] })
end

describe("jwt", function()
  it("has Kong's priority", function()
    assert.same(1450, fake.new("jwt", {}).handler.PRIORITY)
  end)

  it("takes a signed token, and says who it is", function()
    local token = hs256({ iss = "hs" })
    local spec = bearer(token)
    spec.headers["X-Consumer-Groups"], spec.shared = "admin", {}
    local self, answer = access(spec)
    assert.is_nil(answer)
    assert.same({ 4, 1 }, { self.consumer, self.credential })
    assert.same({ "id-alice", "alice", "007", "hs" }, { fake.sent(self, "X-Consumer-ID"),
      fake.sent(self, "X-Consumer-Username"), fake.sent(self, "X-Consumer-Custom-ID"),
      fake.sent(self, "X-Credential-Identifier") })
    assert.same({ "Bearer " .. token }, { fake.sent(self, "Authorization"), fake.sent(self, "X-Consumer-Groups") })
    assert.same(token, spec.shared.authenticated_jwt_token)
  end)

  it("finds it in the query, a cookie or a header", function()
    local token = hs256({ iss = "hs" })
    local more = { cookie_names = { "sid", "tok" }, header_names = { "authorization", "x-token" } }
    for _, spec in ipairs({
      { query = "a=1&jwt=" .. token }, { headers = { Cookie = "a=b; tok=" .. token .. "; c=d" } },
      { headers = { Cookie = { "x=y", 'tok="' .. token .. '"' } } },
      { headers = { ["X-Token"] = "bearer " .. token } },
      { headers = { Authorization = { "Basic x", "Bearer " .. token } } },
      { query = "jwt=" .. token, headers = { Authorization = "Bearer " .. token } },
      { query = "jwt=" .. token .. "&jwt=" .. token, args = { jwt = { token, token } } },
    }) do
      local self, answer = access(spec, more)
      assert.same({ nil, 1 }, { answer, self.credential })
    end
  end)

  it("asks for a token", function()
    for _, spec in ipairs({ {}, { query = "jwt=" }, { query = "jwt" }, { headers = { Authorization = "Basic x" } },
      { headers = { Authorization = hs256({ iss = "hs" }) } }, { headers = { Cookie = "jwt=" .. hs256({ iss = "hs" }) } } }) do
      local _, answer = access(spec)
      assert_refused(answer, "Unauthorized", "Bearer")
    end
    local _, answer = access({}, { realm = "gate" })
    assert_refused(answer, "Unauthorized", 'Bearer realm="gate"')
  end)

  it("refuses several different tokens", function()
    local one, two = hs256({ iss = "hs" }), hs256({ iss = "hs", n = 2 })
    for _, spec in ipairs({
      { query = "jwt=" .. one, headers = { Authorization = "Bearer " .. two } },
      { headers = { Authorization = { "Bearer " .. one, "Bearer " .. two } } },
      { query = ("jwt=%s&jwt=%s"):format(one, two), args = { jwt = { one, two } } },
    }) do
      local _, answer = access(spec)
      assert_refused(answer, "Multiple tokens provided")
    end
  end)

  it("refuses bad tokens with Kong's texts", function()
    for _, case in ipairs({
      { "x", "Bad token; invalid JSON" },
      { hs256({ sub = "hs" }), "No mandatory 'iss' in claims" },
      { hs256({ iss = "" }), "Invalid 'iss' in claims" },
      { hs256({ iss = 7 }), "Invalid 'iss' in claims" },
      { hs256({ iss = cjson.null }), "Invalid 'iss' in claims" },
      { hs256({ iss = "ghost" }), "No credentials found for given 'iss'" },
      { hs256({ iss = "other" }), "No credentials found for given 'iss'" },
      { hs256({ iss = "hs" }, "wrong"), "Invalid signature" },
      { hs256({ iss = "hs" }):gsub("[^.]*$", ""), "Invalid signature" },
      { hs256({ iss = "void" }, ""), "Invalid key/secret" },
    }) do
      local self, answer = access(bearer((case[1])))
      assert_refused(answer, case[2])
      assert.is_nil(self.consumer)
    end
    local _, answer = access(bearer("x"), { realm = "gate" })
    assert_refused(answer, "Bad token; invalid JSON", 'Bearer realm="gate", error="invalid_token"')
  end)

  it("uses the credential's algorithm only", function()
    -- The old attack: the public key, which everybody knows, as an HMAC secret.
    local _, answer = access(bearer(hs256({ iss = "rs" }, "key K")))
    assert_refused(answer, "Invalid algorithm")
    local text = signed_text("HS384", { iss = "hs" })
    answer = select(2, access(bearer(text .. "." .. encode("hmac-sha384 of " .. text .. " by s3cret"))))
    assert_refused(answer, "Invalid algorithm")
    answer = select(2, access(bearer(signed_text("none", { iss = "hs" }) .. ".")))
    assert_refused(answer, "Bad token; invalid alg")
    local self = access(bearer(hs256({ iss = "old" }))) -- Kong's default: HS256
    assert.same(7, self.credential)
  end)

  it("verifies by public keys", function()
    local text = signed_text("RS256", { iss = "rs" })
    local self, answer = access(bearer(text .. "." .. encode("K signed " .. text)))
    assert.same({ nil, 2 }, { answer, self.credential })
    answer = select(2, access(bearer(text .. "." .. encode("L signed " .. text))))
    assert_refused(answer, "Invalid signature")
    answer = select(2, access(bearer(signed_text("ES256", { iss = "bad" }) .. ".AAAA")))
    assert_refused(answer, "Invalid key/secret")
  end)

  it("takes secrets in base64, with both alphabets", function()
    local text = signed_text("HS512", { iss = "hs512" })
    local token = text .. "." .. encode(("hmac-sha512 of %s by s3cret\255\239"):format(text))
    local self = access(bearer(token), { secret_is_base64 = true })
    assert.same(6, self.credential)
    local _, answer = access(bearer(token))
    assert_refused(answer, "Invalid signature")
  end)

  it("takes the key's name from another claim, or from the header", function()
    local self = access(bearer(hs256({ sub = "hs" })), { key_claim_name = "sub" })
    assert.same(1, self.credential)
    self = access(bearer(hs256({}, nil, { kid = "hs" })), { key_claim_name = "kid" })
    assert.same(1, self.credential)
    local _, answer = access(bearer(hs256({ iss = "hs" })), { key_claim_name = "kid" })
    assert_refused(answer, "No mandatory 'kid' in claims")
  end)

  it("verifies times", function()
    local more = { claims_to_verify = { "exp", "nbf" }, maximum_expiration = 60 }
    for _, case in ipairs({
      { { exp = NOW + 60, nbf = NOW } },
      { { exp = NOW, nbf = NOW }, { exp = "token expired" } },
      { { exp = NOW + 1, nbf = NOW + 1 }, { nbf = "token not valid yet" } },
      { {}, { exp = "must be a number", nbf = "must be a number" } },
      { { exp = NOW + 61, nbf = NOW }, { exp = "exceeds maximum allowed expiration" } },
    }) do
      case[1].iss = "hs"
      local _, answer = access(bearer(hs256(case[1])), more)
      if case[2] then
        assert_refused(answer, case[2])
      else
        assert.is_nil(answer)
      end
    end
  end)

  it("runs as the anonymous consumer", function()
    for _, spec in ipairs({ {}, bearer("x") }) do
      local self, answer = access(spec, { anonymous = "nobody" })
      assert.same({ nil, 5, "true" }, { answer, self.consumer, fake.sent(self, "X-Anonymous-Consumer") })
    end
  end)

  it("leaves a client alone that another plugin has identified", function()
    local function prepare(self)
      self.consumer, self.credential = 4, 8
    end
    local self, answer = access({}, { anonymous = "nobody" }, prepare)
    assert.same({ nil, 8 }, { answer, self.credential })
    answer = select(2, access({}, nil, prepare))
    assert_refused(answer, "Unauthorized", "Bearer")
  end)

  it("lets OPTIONS pass when told so, without made-up headers", function()
    local self, answer = access({ method = "OPTIONS", headers = { ["X-Consumer-ID"] = "me" } },
      { run_on_preflight = false })
    assert.same({ nil, nil }, { answer, fake.sent(self, "X-Consumer-ID") })
    answer = select(2, access({ method = "OPTIONS" }))
    assert_refused(answer, "Unauthorized", "Bearer")
  end)
end)
