local fake = require "plugins.fake_gateway"

describe("kong.plugins.jwt.jwt_parser", function()
  local parser

  before_each(function()
    fake.new("jwt", { now = 100 })
    package.loaded["kong.plugins.jwt.jwt_parser"] = nil
    parser = require "kong.plugins.jwt.jwt_parser"
  end)

  it("reads what it writes", function()
    for _, algorithm in ipairs({ "HS256", "HS384", "HS512" }) do
      local token = assert(parser:new(parser.encode({ iss = "me", exp = 150 }, "s3cret", algorithm)))
      assert.same({ { typ = "JWT", alg = algorithm }, { iss = "me", exp = 150 } }, { token.header, token.claims })
      assert.same(token.token, token.header_64 .. "." .. token.claims_64 .. "." .. token.signature_64)
      assert.is_true(token:verify_signature("s3cret"))
      assert.is_false(token:verify_signature("other"))
    end
    assert.same("k", assert(parser:new(parser.encode({}, "s", nil, { alg = "HS256", kid = "k" }))).header.kid)
  end)

  it("verifies by public keys, and lets none serve as a secret", function()
    local text = parser.encode({}, "s", nil, { alg = "ES256" }):match("^(.*)%.")
    local encode_base64 = require("moongate.abi.crypto").encode_base64
    local token = assert(parser:new(text .. "." .. encode_base64("K signed " .. text, true, true)))
    assert.is_true(token:verify_signature("key K"))
    assert.is_false(token:verify_signature("key L"))
    assert.is_false(token:verify_signature("no key"))
    local pem = "-----BEGIN PUBLIC KEY-----"
    assert.is_false(assert(parser:new(parser.encode({}, pem))):verify_signature(pem))
  end)

  it("verifies times", function()
    local token = assert(parser:new(parser.encode({ exp = 150, nbf = 101 }, "s")))
    assert.same({ true, nil }, { token:verify_registered_claims({ "exp" }) })
    assert.same({ false, { nbf = "token not valid yet" } }, { token:verify_registered_claims({ "exp", "nbf" }) })
    assert.same({ true, nil }, { token:verify_registered_claims() })
    assert.same({ true, nil }, { token:check_maximum_expiration(50) })
    assert.same({ true, nil }, { token:check_maximum_expiration(0) })
    assert.same({ false, { exp = "exceeds maximum allowed expiration" } }, { token:check_maximum_expiration(49) })
  end)

  it("says what is no token, no algorithm, no text", function()
    assert.same({ nil, "invalid JSON" }, { parser:new("x") })
    assert.error_matches(function() parser.encode({}, "s", "RS256") end, "Algorithm not supported: RS256", nil, true)
    assert.error_matches(function() parser:new(nil) end, "Token must be a string, got nil", nil, true)
  end)

  it("decodes either alphabet", function()
    assert.same("\255\239", parser:base64_decode("/+8="))
    assert.same("\255\239", parser:base64_decode("_-8"))
  end)
end)
