local fake = require "plugins.fake_gateway"
local mime = require "mime"

local NOW = 1700000000
local CONSUMERS = { [4] = { id = "id-alice", username = "alice" }, [5] = { id = "id-anon", username = "nobody" } }
local CREDENTIALS = {
  [2] = { id = "c1", kind = "hmacauth", key = "al", username = "al", secret = "s3cret", owner = 4 },
  [3] = { id = "c2", kind = "keyauth", key = "other", secret = "s3cret", owner = 4 },
}
-- Dates of the fake clock: how far from NOW.
local DATES = { now = 0, ["a bit ago"] = -300, soon = 300, ["long ago"] = -301, later = 301 }
local NOT_VALID, NOT_SAME = "HMAC signature cannot be verified", "HMAC signature does not match"
local NO_DATE = NOT_VALID .. ", a valid date or x-date header is required for HMAC Authentication"

-- An Authorization for a text; more: username, algorithm, headers.
local function signed(text, more)
  more = more or {}
  local algorithm = more.algorithm or "hmac-sha256"
  local digest = algorithm:gsub("^hmac%-", "")
  return ('hmac username="%s", algorithm="%s", headers="%s", signature="%s"'):format(more.username or "al", algorithm,
    more.headers or "date", (mime.b64(("hmac-%s of %s by s3cret"):format(digest, text))))
end

local function access(spec, more, prepare)
  spec.consumers, spec.credentials, spec.now = CONSUMERS, CREDENTIALS, NOW
  spec.ngx = { parse_http_time = function(text) return DATES[text] and NOW + DATES[text] end }
  local conf = { hide_credentials = true, clock_skew = 300, validate_request_body = false, enforce_headers = {},
    algorithms = { "hmac-sha256", "hmac-sha512" } }
  for name, value in pairs(more or {}) do
    conf[name] = value
  end
  local self = fake.new("hmac-auth", spec)
  if prepare then
    prepare(self)
  end
  return self, fake.run(self, "access", conf)
end

local function request(authorization, more)
  local headers = { Authorization = authorization, Date = "now" }
  for name, value in pairs(more or {}) do
    headers[name] = value or nil
  end
  return { headers = headers }
end

local function assert_refused(answer, message, challenge)
  assert.same({ 401, message, challenge or "hmac" },
    { answer.status, answer.message, answer.headers["WWW-Authenticate"] })
end

describe("hmac-auth", function()
  it("has Kong's priority", function()
    assert.same(1030, fake.new("hmac-auth", {}).handler.PRIORITY)
  end)

  it("takes a signature, and says who it is", function()
    local self, answer = access(request(signed("date: now"), { ["X-Consumer-ID"] = "me" }))
    assert.is_nil(answer)
    assert.same({ 4, 2, "id-alice", "al" }, { self.consumer, self.credential, fake.sent(self, "X-Consumer-ID"),
      fake.sent(self, "X-Credential-Identifier") })
    assert.is_nil(fake.sent(self, "Authorization"))
  end)

  it("signs method, target, version and fields of several lines", function()
    local text = "POST /a?b=1 HTTP/1.1\ndate: now\n@request-target: post /a?b=1\nx-two: 1, 2\nx-none:"
    local spec = request(signed(text, { headers = "request-line date @request-target x-two x-none", algorithm = "hmac-sha512" }),
      { ["X-Two"] = { "1", "2" } })
    spec.method, spec.path, spec.query = "POST", "/a", "b=1"
    local self, answer = access(spec)
    assert.same({ nil, 2 }, { answer, self.credential })
    spec.headers["X-Two"] = "1"
    assert_refused(select(2, access(spec)), NOT_SAME)
  end)

  it("prefers Proxy-Authorization, and hides only what it used", function()
    local self, answer = access(request("Bearer x", { ["Proxy-Authorization"] = signed("date: now") }))
    assert.same({ nil, "Bearer x" }, { answer, fake.sent(self, "Authorization") })
    assert.is_nil(fake.sent(self, "Proxy-Authorization"))
    self = access(request(signed("date: now")), { hide_credentials = false })
    assert.same(signed("date: now"), fake.sent(self, "Authorization"))
  end)

  it("refuses with Kong's texts", function()
    for _, case in ipairs({
      { nil, "Unauthorized" },
      { "Basic abc", NOT_VALID },
      { { signed("date: now"), signed("date: now") }, NOT_VALID },
      { signed("date: now", { username = "ghost" }), NOT_VALID },
      { signed("date: now", { username = "other" }), NOT_VALID },
      { signed("date: now", { algorithm = "hmac-sha1" }), NOT_VALID },
      { signed("date: now", { algorithm = "hmac-md5" }), NOT_VALID },
      { signed("date: then"), NOT_SAME },
      { signed("date: now"):gsub('[^"]*"$', '!"'), NOT_SAME },
    }) do
      local self, answer = access(request(case[1]))
      assert_refused(answer, case[2])
      assert.is_nil(self.consumer)
    end
    assert_refused(select(2, access({}, { realm = "gate" })), "Unauthorized", 'hmac realm="gate"')
  end)

  it("needs a date that is near", function()
    for date, near in pairs({ now = true, ["a bit ago"] = true, soon = true, ["long ago"] = false, later = false,
      ["no date"] = false }) do
      local self, answer = access(request(signed("date: " .. date), { Date = date }))
      if near then
        assert.same({ nil, 2 }, { answer, self.credential })
      else
        assert_refused(answer, NO_DATE)
      end
    end
    assert_refused(select(2, access(request(signed("host: h", { headers = "host" }), { Date = false, Host = "h" }))), NO_DATE)
    assert_refused(select(2, access(request("nonsense", { Date = false }))), NO_DATE)
    assert_refused(select(2, access(request(signed("date: now, now"), { Date = { "now", "now" } }))), NO_DATE)
  end)

  it("takes X-Date for Date, signed or not", function()
    local self = access(request(signed("x-date: now", { headers = "x-date" }), { ["X-Date"] = "now", Date = "long ago" }))
    assert.same(2, self.credential)
    self = access(request(signed("host: h", { headers = "host" }), { ["X-Date"] = "now", Date = false, Host = "h" }))
    assert.same(2, self.credential)
  end)

  it("is not made fresh again by a date that nobody signed", function()
    local _, answer = access(request(signed("date: long ago"), { Date = "long ago", ["X-Date"] = "now" }))
    assert_refused(answer, NO_DATE)
  end)

  it("enforces what must be signed", function()
    local more = { enforce_headers = { "Date", "request-line" } }
    assert_refused(select(2, access(request(signed("date: now")), more)), NOT_VALID)
    local self = access(request(signed("date: now\nGET / HTTP/1.1", { headers = "date request-line" })), more)
    assert.same(2, self.credential)
  end)

  it("compares the body with its digest", function()
    local more = { validate_request_body = true }
    local whole = "SHA-256=" .. mime.b64("sha256 of hello")
    for _, case in ipairs({
      { "hello", whole, true }, { "hello", "MD5=x, sha-256=" .. whole:sub(9), true }, { "", nil, true },
      { "hallo", whole, false }, { "hello", nil, false }, { "hello", "MD5=x", false }, { "hello", "SHA-256=", false },
    }) do
      local spec = request(signed("date: now"), { Digest = case[2] })
      spec.body = case[1]
      local self, answer = access(spec, more)
      if case[3] then
        assert.same({ nil, 2 }, { answer, self.credential })
      else
        assert_refused(answer, NOT_SAME)
      end
    end
    local spec = request(signed("date: now"), { Digest = whole })
    spec.body_error = "too large"
    assert_refused(select(2, access(spec, more)), NOT_SAME)
  end)

  it("runs as the anonymous consumer, or leaves a known client alone", function()
    for _, spec in ipairs({ {}, request(signed("date: then")) }) do
      local self, answer = access(spec, { anonymous = "nobody" })
      assert.same({ nil, 5, "true" }, { answer, self.consumer, fake.sent(self, "X-Anonymous-Consumer") })
    end
    local function prepare(self)
      self.consumer, self.credential = 4, 3
    end
    local self, answer = access({}, { anonymous = "nobody" }, prepare)
    assert.same({ nil, 3 }, { answer, self.credential })
    assert_refused(select(2, access({}, nil, prepare)), "Unauthorized")
  end)
end)
