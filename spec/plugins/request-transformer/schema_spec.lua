local check = require "plugins.schema_check"

local EMPTY = { headers = {}, querystring = {}, body = {} }

describe("request-transformer schema", function()
  local process = check.open("request-transformer")

  it("fills Kong's defaults", function()
    assert.same({ remove = EMPTY, rename = EMPTY, replace = EMPTY, add = EMPTY, append = EMPTY }, process({}))
  end)

  it("refuses entries without a value, bad header names and broken templates", function()
    for _, case in ipairs({
      { "add", "headers", "x", "key 'x' has no value" },
      { "add", "querystring", "x:", "key 'x' has no value" },
      { "append", "body", "x", "key 'x' has no value" },
      { "rename", "body", "x", "key 'x' has no value" },
      { "replace", "headers", "a b:c", "'a b' is not a valid header" },
      { "remove", "headers", "a@", "'a@' is not a valid header" },
    }) do
      local _, errors = process({ [case[1]] = { [case[2]] = { case[3] } } })
      local _, message = next(errors)
      assert.same(case[4], message)
    end
    local _, errors = process({ add = { headers = { "x:$(1 +)" } }, replace = { uri = "$(" } })
    local texts = require("cjson").encode(errors)
    assert.matches("value '$(1 +)' is not in supported format, error:", texts, 1, true)
    assert.matches("value '$(' is not in supported format, error:", texts, 1, true)
  end)

  it("takes a method in upper case only", function()
    assert.same("POST", process({ http_method = "POST" }).http_method)
    assert.is_nil((process({ http_method = "post" })))
  end)
end)
