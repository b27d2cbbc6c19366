local check = require "plugins.schema_check"

describe("jwt schema", function()
  local process = check.open("jwt")

  it("fills Kong's defaults", function()
    assert.same({ uri_param_names = { "jwt" }, cookie_names = {}, header_names = { "authorization" },
      key_claim_name = "iss", secret_is_base64 = false, run_on_preflight = true, maximum_expiration = 0,
    }, process({}))
  end)

  it("knows the claims it can verify", function()
    assert.same({ "exp", "nbf" }, process({ claims_to_verify = { "exp", "nbf" } }).claims_to_verify)
    local _, failed = process({ claims_to_verify = { "aud" } })
    assert.same("expected one of: exp, nbf", select(2, next(failed)))
  end)

  it("limits the validity only of tokens whose exp it verifies", function()
    for _, claims in ipairs({ false, { "nbf" } }) do
      local _, failed = process({ maximum_expiration = 300, claims_to_verify = claims or nil })
      assert.same("expected to contain: exp", failed.claims_to_verify)
      assert.same("failed conditional validation given value of field 'config.maximum_expiration'", failed["@entity"])
    end
    assert.same(300, process({ maximum_expiration = 300, claims_to_verify = { "exp" } }).maximum_expiration)
    local _, failed = process({ maximum_expiration = 31536001, claims_to_verify = { "exp" } })
    assert.same("value should be between 0 and 31536000", failed.maximum_expiration)
  end)
end)
