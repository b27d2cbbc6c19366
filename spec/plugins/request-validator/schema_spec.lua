local check = require "plugins.schema_check"

describe("request-validator schema", function()
  local process = check.open("request-validator")

  local function errors(config)
    local _, failed = process(config)
    return require("cjson").encode(failed or {})
  end

  it("fills Kong's defaults", function()
    assert.same({ body_schema = '[{"a":{"type":"string"}}]', version = "kong", verbose_response = false,
      allowed_content_types = { "application/json" }, content_type_parameter_validation = true },
      process({ body_schema = '[{"a":{"type":"string"}}]' }))
  end)

  it("wants something to check", function()
    assert.matches("at least one of these fields must be non-empty: 'config.body_schema', 'config.parameter_schema'",
      errors({}), 1, true)
  end)

  it("refuses schemas that are none", function()
    for _, case in ipairs({
      { { body_schema = "{" }, "failed decoding schema" },
      { { body_schema = "{}" }, "schema violation" },
      { { body_schema = '[{"a":{"type":"strin"}}]' }, "schema violation" },
      { { body_schema = '{"type":"strin"}', version = "draft4" }, "not a valid JSON schema: type 'strin' is unknown" },
      { { body_schema = "{", version = "draft4" }, "not a valid JSON schema: not JSON" },
      { { body_schema = "{}", version = "draft3" }, "expected one of: kong, draft4" },
      { { parameter_schema = { { ["in"] = "query", name = "a", required = true, style = "matrix" } } },
        "style 'matrix' not supported 'query' parameter" },
      { { parameter_schema = { { ["in"] = "query", name = "a", required = true, style = "form", explode = true,
        schema = "[]" } } }, "not a valid JSON schema" },
      { { parameter_schema = { { name = "a" } } }, "required field missing" },
    }) do
      assert.matches(case[2], errors(case[1]), 1, true)
    end
  end)
end)
