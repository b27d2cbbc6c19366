local check = require "plugins.schema_check"

describe("file-log schema", function()
  local process = check.open("file-log")

  it("wants a path and fills its defaults", function()
    assert.same({ path = "/var/log/a.log", reopen = false }, process({ path = "/var/log/a.log" }))
    local _, failed = process({})
    assert.same({ path = "required field missing" }, failed)
  end)

  it("refuses paths with shell characters, with Kong's text", function()
    for _, path in ipairs({ "/tmp/*.log", "/tmp/a&b", "/tmp/`id`", "/tmp/%h" }) do
      local _, failed = process({ path = path })
      assert.same({ path = "not a valid filename" }, failed, path)
    end
  end)

  it("compiles custom fields", function()
    assert.is_table(process({ path = "/a", custom_fields_by_lua = { x = "return 1" } }))
    local _, failed = process({ path = "/a", custom_fields_by_lua = { x = "return return" } })
    assert.matches("error parsing function: ", select(2, next(failed)), 1, true)
  end)
end)
