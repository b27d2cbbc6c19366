local check = require "plugins.schema_check"

describe("request-termination schema", function()
  local process = check.open("request-termination")

  it("fills Kong's defaults", function()
    assert.same({ status_code = 503, echo = false }, process({}))
  end)

  it("refuses what does not go together, with Kong's texts", function()
    for _, case in ipairs({
      { { message = "m", body = "b" }, "message cannot be used with content_type or body" },
      { { message = "m", content_type = "text/plain" }, "message cannot be used with content_type or body" },
      { { content_type = "text/plain" }, "content_type requires a body" },
      { { echo = true, body = "b" }, "echo cannot be used with content_type and body" },
      { { echo = true, body = "b", content_type = "text/plain" }, "echo cannot be used with content_type and body" },
    }) do
      local _, failed = process(case[1])
      assert.same({ ["@entity"] = case[2] }, failed)
    end
    assert.is_table(process({ body = "b", content_type = "text/plain" }))
    assert.is_table(process({ echo = true, message = "m" }))
  end)

  it("wants a status", function()
    local _, failed = process({ status_code = 600 })
    assert.same({ status_code = "value should be between 100 and 599" }, failed)
  end)
end)
