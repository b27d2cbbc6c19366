local jwt = require "moongate.auth.jwt"
local mime = require "mime"

local function encode(text)
  return ((mime.b64(text) or ""):gsub("+", "-"):gsub("/", "_"):gsub("=", ""))
end

local function decode(text, url)
  assert(url)
  text = text:gsub("-", "+"):gsub("_", "/")
  return #text % 4 ~= 1 and (mime.unb64(text .. ("="):rep(-#text % 4)) or "") or nil
end

local function token(header, claims, signature)
  return encode(header) .. "." .. encode(claims) .. "." .. encode(signature or "signed")
end

local HS = '{"alg":"HS256","typ":"JWT"}'

describe("a JSON Web Token", function()
  it("comes apart", function()
    local text = token(HS, '{"iss":"me","exp":7}', "\1\255\254?>")
    assert.same({
      header = { alg = "HS256", typ = "JWT" }, claims = { iss = "me", exp = 7 },
      signed = text:match("^(.*)%."), signature = "\1\255\254?>",
    }, jwt.parse(text, decode))
  end)

  it("is none when cut at any byte, but within its signature", function()
    local text = token(HS, '{"iss":"me"}')
    local unsigned = #text:match("^(.*%.)")
    for n = 0, unsigned - 1 do
      assert.is_nil((jwt.parse(text:sub(1, n), decode)), n)
    end
    for n = unsigned, #text - 1 do
      local parsed = jwt.parse(text:sub(1, n), decode)
      assert.is_true(parsed == nil or parsed.signature ~= "signed", n)
    end
  end)

  it("is refused with Kong's words", function()
    for _, case in ipairs({
      { "", "invalid JSON" }, { "a.b.c", "invalid JSON" }, { "a.b", "invalid JSON" }, { "..", "invalid JSON" },
      { token(HS, "{}") .. ".x", "invalid JSON" }, { token(HS, "{}") .. "=", "invalid JSON" },
      { token("7", "{}"), "invalid JSON" }, { token(HS, "[1"), "invalid JSON" }, { token(HS, '"x"'), "invalid JSON" },
      { token('{"alg":"HS256","typ":"JWE"}', "{}"), "invalid typ" }, { token('{"alg":"HS256","typ":1}', "{}"), "invalid typ" },
      { token('{"alg":"none"}', "{}"), "invalid alg" }, { token('{"alg":"hs256"}', "{}"), "invalid alg" },
      { token("{}", "{}"), "invalid alg" }, { token('{"alg":null}', "{}"), "invalid alg" },
      { token('{"alg":["HS256"]}', "{}"), "invalid alg" },
      { token('{"alg":"HS256","crit":["b64"],"b64":false}', "{}"), "invalid crit" },
      { token(HS, "{}", nil):gsub("%.[^.]*$", ".A"), "invalid signature" },
    }) do
      local parsed, why = jwt.parse(case[1], decode)
      assert.same({ nil, case[2] }, { parsed, why })
    end
  end)

  it("needs no typ, in any case of letters", function()
    assert.truthy(jwt.parse(token('{"alg":"EdDSA"}', "{}"), decode))
    assert.truthy(jwt.parse(token('{"alg":"PS512","typ":"jwt"}', "{}"), decode))
  end)

  it("has times", function()
    local names = { "exp", "nbf" }
    assert.is_nil(jwt.check_times({ exp = 101, nbf = 100 }, names, 100))
    assert.same({ exp = "token expired" }, jwt.check_times({ exp = 100, nbf = 100 }, names, 100))
    assert.same({ nbf = "token not valid yet" }, jwt.check_times({ exp = 200, nbf = 100.5 }, names, 100))
    assert.same({ exp = "must be a number", nbf = "must be a number" }, jwt.check_times({ exp = "200" }, names, 100))
    assert.is_nil(jwt.check_times({ exp = 1 }, {}, 100))
  end)

  it("may live too long", function()
    assert.is_false(jwt.lives_longer({ exp = 400 }, 300, 100))
    assert.is_true(jwt.lives_longer({ exp = 401 }, 300, 100))
    assert.is_true(jwt.lives_longer({}, 300, 100))
  end)

  it("comes behind Bearer", function()
    assert.same("a.b.c", jwt.bearer(" bearer  a.b.c "))
    for _, text in ipairs({ "a.b.c", "Bearera.b.c", "Basic a.b.c", "" }) do
      assert.is_nil(jwt.bearer(text))
    end
  end)
end)
