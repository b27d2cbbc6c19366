local check = require "plugins.schema_check"

describe("http-log schema", function()
  local process = check.open("http-log")

  it("has Kong's defaults", function()
    assert.same({ http_endpoint = "http://logs.test/", method = "POST", content_type = "application/json",
      timeout = 10000, keepalive = 60000, ssl_verify = true, queue = { max_batch_size = 1,
        max_coalescing_delay = 1, max_entries = 10000, initial_retry_delay = 0.01, max_retry_time = 60,
        max_retry_delay = 60, concurrency_limit = 1 } }, process({ http_endpoint = "http://logs.test/" }))
  end)

  it("wants a URL", function()
    local _, failed = process({})
    assert.same("required field missing", failed.http_endpoint)
    _, failed = process({ http_endpoint = "logs.test" })
    assert.is_string(failed.http_endpoint)
  end)

  it("refuses fields that it writes itself", function()
    for _, name in ipairs({ "Host", "content-length", "Content-type" }) do
      local _, failed = process({ http_endpoint = "http://a.test", headers = { [name] = "x" } })
      assert.matches("cannot contain '", select(2, next(failed)), 1, true)
    end
    assert.is_table(process({ http_endpoint = "http://a.test", headers = { ["X-Host"] = "x" } }))
  end)

  it("refuses credentials said twice", function()
    local _, failed = process({ http_endpoint = "http://u:p@a.test", headers = { Authorization = "x" } })
    assert.same({ config = "specifying both an 'Authorization' header and user info in 'http_endpoint' is not allowed" },
      failed)
  end)
end)
