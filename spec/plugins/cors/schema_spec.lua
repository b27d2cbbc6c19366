local check = require "plugins.schema_check"

describe("cors schema", function()
  local process = check.open("cors")

  it("fills Kong's defaults", function()
    assert.same({
      methods = { "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT" },
      credentials = false, private_network = false, preflight_continue = false, allow_origin_absent = true,
    }, process({}))
  end)

  it("takes origins, hosts and patterns", function()
    local list = { "*", "https://a.example:8443", "a.example", "^https?://.*\\.example$" }
    assert.same(list, process({ origins = list }).origins)
    local _, failed = process({ origins = { "https://(a.example" } })
    assert.same("'https://(a.example' is not a valid regex", select(2, next(failed)))
  end)

  it("knows the methods", function()
    local _, failed = process({ methods = { "get" } })
    assert.matches("^expected one of: GET, HEAD, ", select(2, next(failed)))
  end)
end)
