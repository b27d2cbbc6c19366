-- The form in which GET /schemas/... shows schemas: what decK and Kong's users read from it.

local check = require("moongate.config.check")
local describe_schema = require("moongate.schema.describe")
local entities = require("moongate.config.entities")
local json = require("moongate.util.json_encode")
local typedefs = require("moongate.schema.typedefs")

local null = json.null

-- The one field of that name in a list of {name = field}.
local function field(fields, ...)
  local found
  for _, wanted in ipairs({ ... }) do
    found = nil
    for _, item in ipairs(fields) do
      found = found or item[wanted]
    end
    assert.is_table(found, "no field " .. wanted)
    fields = found.fields
  end
  return found
end

describe("schema.describe.entity", function()
  it("gives fields in order, with types and defaults", function()
    local out = describe_schema.entity("services")
    assert.equal("id", next(out.fields[1]))
    assert.same({ type = "integer", default = 5, between = { 0, 32767 } }, field(out.fields, "retries"))
    assert.equal("http", field(out.fields, "protocol").default)
    assert.is_true(field(out.fields, "host").required)
    assert.is_true(field(out.fields, "id").auto)
  end)

  it("gives nested records and their defaults", function()
    local fields = describe_schema.entity("upstreams").fields
    local statuses = field(fields, "healthchecks", "active", "healthy", "http_statuses")
    assert.same({ 200, 302 }, statuses.default)
    assert.same({ type = "integer", between = { 100, 999 } }, statuses.elements)
  end)

  it("leaves functions out and keeps what the checks look at", function()
    local out = describe_schema.entity("services")
    assert.is_nil(field(out.fields, "host").custom_validator)
    assert.same({ { custom_entity_check = { field_sources = { "protocol", "path" } } } }, out.entity_checks)
    assert.same({ { url = { type = "string" } } }, out.shorthand_fields)
  end)

  it("names the referred entity of a foreign field", function()
    local service = field(describe_schema.entity("routes").fields, "service")
    assert.same({ type = "foreign", reference = "services" }, service)
  end)

  it("says which name is no entity", function()
    local out, err = describe_schema.entity("ORDER")
    assert.is_nil(out)
    assert.equal("no entity named 'ORDER'", err)
  end)

  it("can be written as JSON for every kind of entity", function()
    for _, kind in ipairs(entities.ORDER) do
      assert.matches('"fields":[', json.encode(describe_schema.entity(kind)), 1, true)
    end
  end)
end)

describe("schema.describe.plugin", function()
  local function plugin(config, extra)
    local definition = { name = "t", fields = { { config = { type = "record", fields = config } } } }
    for _, item in ipairs(extra or {}) do
      table.insert(definition.fields, 1, item)
    end
    return assert(describe_schema.plugin(definition))
  end

  it("adds protocols with their default, and config is required", function()
    local out = plugin({ { a = { type = "string" } } })
    assert.same({ "grpc", "grpcs", "http", "https" }, field(out.fields, "protocols").default)
    assert.is_true(field(out.fields, "config").required)
    assert.same({ type = "string" }, field(out.fields, "config", "a"))
  end)

  it("keeps a schema's own protocols and scopes", function()
    local out = plugin({}, { { protocols = typedefs.protocols { default = { "http" } } },
      { consumer = typedefs.no_consumer } })
    assert.same({ "http" }, field(out.fields, "protocols").default)
    assert.equal(null, field(out.fields, "consumer").eq)
    assert.equal("consumers", field(out.fields, "consumer").reference)
    assert.equal(3, #out.fields)
  end)

  it("writes empty lists as [] and empty maps as {}", function()
    local out = plugin({
      { list = { type = "array", elements = { type = "string" }, default = {} } },
      { map = { type = "map", keys = { type = "string" }, values = { type = "string" }, default = {} } },
      { none = { type = "record", fields = {} } },
    })
    local text = json.encode(field(out.fields, "config").fields)
    assert.matches('{"list":{"default":[],', text, 1, true)
    assert.matches('{"map":{"default":{},', text, 1, true)
    assert.matches('{"none":{"fields":[],', text, 1, true)
  end)

  it("shows shorthands, deprecations and what replaces them, without their functions", function()
    local definition = { name = "t", fields = { { config = {
      type = "record", fields = { { timeout = { type = "integer", default = 5, gt = 0 } } },
      shorthand_fields = { { wait = {
        type = "integer", translate_backwards = { "timeout" },
        deprecation = { message = "use timeout", removal_in_version = "4.0",
          replaced_with = { { path = { "timeout" }, reverse_mapping_function = print } } },
        func = function() end,
      } } },
    } } } }
    local config = field(describe_schema.plugin(definition).fields, "config")
    assert.same({ { wait = {
      type = "integer", translate_backwards = { "timeout" },
      deprecation = { message = "use timeout", removal_in_version = "4.0",
        replaced_with = { { path = { "timeout" } } } },
    } } }, config.shorthand_fields)
  end)

  it("turns what JSON cannot write into null", function()
    local out = plugin({ { n = { type = "number", between = { 0, math.huge } } } })
    assert.same({ 0, null }, field(out.fields, "config", "n").between)
  end)

  it("says what is wrong with a schema", function()
    local out, err = describe_schema.plugin({ name = "t", fields = { { config = {
      type = "record", fields = { { a = { type = "text" } } } } } } })
    assert.is_nil(out)
    assert.equal("t.config.a: unknown type 'text'", err)
  end)

  it("gives the defaults that the schema fills in, for every bundled plugin", function()
    local pipe, count = assert(io.popen("ls plugins")), 0
    for name in pipe:lines() do
      local definition = require("kong.plugins." .. name .. ".schema")
      local out = assert(describe_schema.plugin(definition), name)
      assert.matches('"config"', json.encode(out), 1, true)
      assert.is_table(check.plugin_schema(definition))
      count = count + 1
    end
    pipe:close()
    assert.is_true(count >= 30)
  end)
end)
