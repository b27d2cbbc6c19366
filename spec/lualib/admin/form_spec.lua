-- Forms of the Admin API: names become places, texts become what the schema's fields are.

local form = require("moongate.admin.form")
local json = require("moongate.util.json_encode")
local Schema = require("moongate.schema")

describe("admin.form.nest", function()
  it("makes tables of dots and brackets", function()
    assert.same({ name = "a", config = { minute = "5", deep = { er = "x" } } },
      form.nest({ name = "a", ["config.minute"] = "5", ["config.deep.er"] = "x" }))
    assert.same({ tags = { "a", "b" } }, form.nest({ ["tags[]"] = { "a", "b" } }))
    assert.same({ tags = { "a" } }, form.nest({ ["tags[]"] = "a" }))
    assert.same({ paths = { "/a", "/b" } }, form.nest({ ["paths[1]"] = "/a", ["paths[2]"] = "/b" }))
  end)

  it("refuses names that nest without end", function()
    local value, why = form.nest({ [("a."):rep(100) .. "b"] = "x" })
    assert.is_nil(value)
    assert.matches("deeper than 32", why)
  end)
end)

describe("admin.form.infer", function()
  local schema = assert(Schema.new({ name = "x", fields = {
    { n = { type = "integer" } }, { on = { type = "boolean" } }, { text = { type = "string" } },
    { tags = { type = "set", elements = { type = "string" } } }, { counts = { type = "array", elements = { type = "number" } } },
    { config = { type = "record", fields = { { minute = { type = "number" } } } } },
    { by = { type = "map", keys = { type = "string" }, values = { type = "integer" } } },
  } }))

  it("gives each text its field's type", function()
    assert.same({ n = 5, on = false, text = "7", tags = { "a", "b" }, counts = { 1, 2.5 }, config = { minute = 3 },
      by = { x = 1 } },
      form.infer(schema, { n = "5", on = "false", text = "7", tags = "a,b", counts = { "1", "2.5" }, config = { minute = "3" },
        by = { x = "1" } }))
  end)

  it("leaves lists with gaps or names as they are, so that nothing is dropped unsaid", function()
    for _, name in ipairs({ "tags[3]", "tags[-1]", "tags[1.5]", "tags[nan]", "tags[x]" }) do
      local input = assert(form.nest({ ["tags[1]"] = "a", [name] = "b" }))
      local out = form.infer(schema, input)
      assert.is_nil((schema:process(out)), name)
    end
  end)

  it("takes false in lists", function()
    local flags = assert(Schema.new({ name = "y", fields = { { on = { type = "array", elements = { type = "boolean" } } } } }))
    assert.same({ on = { true, false } }, form.infer(flags, { on = "true,false" }))
  end)

  it("leaves to the schema what does not fit, and unknown fields", function()
    assert.same({ n = "five", on = "maybe", other = "x" }, form.infer(schema, { n = "five", on = "maybe", other = "x" }))
  end)

  it("takes an empty text for null", function()
    assert.equal(json.null, form.infer(schema, { text = "" }).text)
  end)
end)
