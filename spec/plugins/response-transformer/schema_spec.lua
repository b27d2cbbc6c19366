local check = require "plugins.schema_check"

describe("response-transformer schema", function()
  local process = check.open("response-transformer")

  it("fills Kong's defaults", function()
    local plain, typed = { headers = {}, json = {} }, { headers = {}, json = {}, json_types = {} }
    assert.same({ remove = plain, rename = plain, replace = typed, add = typed, append = typed }, process({}))
  end)

  it("refuses entries without a value, bad header names and other types", function()
    for _, case in ipairs({
      { "add", "headers", "x", "key 'x' has no value" },
      { "add", "json", "x:", "key 'x' has no value" },
      { "rename", "headers", "x", "key 'x' has no value" },
      { "replace", "headers", "a b:c", "'a b' is not a valid header" },
      { "remove", "headers", "a@:1", "'a@' is not a valid header" },
      { "append", "json_types", "object", "expected one of: boolean, number, string" },
    }) do
      local _, errors = process({ [case[1]] = { [case[2]] = { case[3] } } })
      local _, message = next(errors)
      assert.same(case[4], message)
    end
  end)
end)
