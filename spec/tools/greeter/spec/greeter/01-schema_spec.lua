local schema = require "kong.plugins.greeter.schema"
local validate = require("spec.helpers").validate_plugin_config_schema

describe("greeter: (schema)", function()
  it("has defaults", function()
    local entity, err = validate({}, schema)
    assert.is_nil(err)
    assert.equal("X-Greeting", entity.config.request_header)
  end)

  it("wants two different headers", function()
    local entity, err = validate({ request_header = "X-Same", response_header = "X-Same" }, schema)
    assert.is_falsy(entity)
    assert.same({ config = { ["@entity"] = {
      "values of these fields must be distinct: 'request_header', 'response_header'",
    } } }, err)
  end)

  it("wants a name of two letters at least", function()
    local _, err = validate({ ban = "x" }, schema)
    assert.same({ config = { ban = "length must be at least 2" } }, err)
  end)
end)
