local check = require "plugins.schema_check"

describe("proxy-cache schema", function()
  local process = check.open("proxy-cache")

  it("fills Kong's defaults", function()
    assert.same({ strategy = "memory", response_code = { 200, 301, 404 }, request_method = { "GET", "HEAD" },
      content_type = { "text/plain", "application/json" }, cache_ttl = 300, cache_control = false,
      ignore_uri_case = false, memory = { dictionary_name = "kong_db_cache" },
      response_headers = { age = true, ["X-Cache-Status"] = true, ["X-Cache-Key"] = true } },
      process({ strategy = "memory" }))
  end)

  it("refuses what cannot be", function()
    for field, case in pairs({ strategy = { "redis", "expected one of: memory" }, cache_ttl = { 0, "value must be greater than 0" },
      response_code = { {}, "length must be at least 1" } }) do
      local _, errors = process({ strategy = field == "strategy" and case[1] or "memory", [field] = case[1] })
      assert.same(case[2], errors[field])
    end
    local _, errors = process({})
    assert.same("required field missing", errors.strategy)
  end)
end)
