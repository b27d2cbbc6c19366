-- Types, attributes, defaults, shorthands and deprecations of the schema language.

local Schema = require("moongate.schema")
local json = require("moongate.util.json_encode")
local null = json.null

local function one_field(field)
  return assert(Schema.new { name = "t", fields = { { f = field } } })
end

-- The error of value in a field, or nil.
local function error_of(field, value)
  local _, failed = one_field(field):process({ f = value })
  return type(failed) == "table" and failed.f or nil
end

local STRING, NUMBER = { type = "string" }, { type = "number" }

describe("schema: types", function()
  local cases = {
    { "string", 1, "expected a string" }, { "string", "", "length must be at least 1" },
    { "number", "1", "expected a number" }, { "number", 0 / 0, "expected a number" },
    { "integer", 1.5, "expected an integer" }, { "integer", "1", "expected an integer" },
    { "boolean", "true", "expected a boolean" }, { "array", "x", "expected an array" },
    { "array", { a = 1 }, "expected an array" }, { "set", { a = 1 }, "expected a set" },
    { "map", { 1 }, "expected a map" }, { "map", "x", "expected a map" },
    { "record", { 1 }, "expected a record" }, { "record", 3, "expected a record" },
    { "function", "print", "expected a function" },
    { "foreign", 7, "expected a name, or a record with 'id' or 'name'" },
  }
  for _, case in ipairs(cases) do
    it(case[1] .. " refuses " .. tostring(case[2]) .. " of type " .. type(case[2]), function()
      local field = { type = case[1], fields = {}, elements = nil }
      assert.equal(case[3], error_of(field, case[2]))
    end)
  end

  local accepted = {
    { "string", "a" }, { "number", 1.5 }, { "integer", 3 }, { "boolean", false }, { "array", { 1 } },
    { "array", {} }, { "map", { a = 1 } }, { "record", {} }, { "function", print },
    { "any", { 1, { a = 2 } } }, { "json", { a = 1 } }, { "foreign", "name" }, { "foreign", { id = "x" } },
  }
  for _, case in ipairs(accepted) do
    it(case[1] .. " accepts a " .. type(case[2]), function()
      local out = assert(one_field({ type = case[1], fields = {} }):process({ f = case[2] }))
      assert.same(case[2], out.f)
    end)
  end

  it("keeps a set free of repetitions and in order", function()
    local out = assert(one_field({ type = "set", elements = STRING }):process({ f = { "b", "a", "b" } }))
    assert.same({ "b", "a" }, out.f)
  end)

  it("names the faulty element of an array", function()
    assert.same({ [2] = "expected a string" },
      error_of({ type = "array", elements = STRING }, { "a", 2 }))
  end)

  it("names the faulty key of a map", function()
    assert.same({ b = "expected a number" },
      error_of({ type = "map", keys = STRING, values = NUMBER }, { a = 1, b = "x" }))
    assert.same({ ab = "length must be at most 1" },
      error_of({ type = "map", keys = { type = "string", len_max = 1 }, values = NUMBER }, { ab = 1 }))
  end)

  it("marks arrays so that empty ones stay arrays in JSON", function()
    local out = assert(one_field({ type = "array", elements = STRING, default = {} }):process({}))
    assert.equal('{"f":[]}', json(out))
  end)
end)

describe("schema: attributes", function()
  local function even(value)
    if value % 2 == 0 then
      return true
    end
    return nil, "must be even"
  end
  local cases = {
    { { type = "string", eq = "a" }, "a", "b", "value must be a" },
    { { type = "string", ne = "a" }, "b", "a", "value must not be a" },
    { { type = "string", one_of = { "a", "b" } }, "b", "c", "expected one of: a, b" },
    { { type = "string", not_one_of = { "a", "b" } }, "c", "b", "must not be one of: a, b" },
    { { type = "number", gt = 0 }, 1, 0, "value must be greater than 0" },
    { { type = "integer", between = { 0, 65535 } }, 65535, 65536, "value should be between 0 and 65535" },
    { { type = "number", between = { 0.5, 1 } }, 1, 0, "value should be between 0.5 and 1" },
    { { type = "string", len_eq = 2 }, "ab", "a", "length must be 2" },
    { { type = "string", len_min = 2 }, "ab", "a", "length must be at least 2" },
    { { type = "array", len_max = 1 }, { 1 }, { 1, 2 }, "length must be at most 1" },
    { { type = "map", len_min = 1 }, { a = 1 }, {}, "length must be at least 1" },
    { { type = "string", starts_with = "/" }, "/a", "a", "should start with: /" },
    { { type = "string", match = "^%d+$" }, "12", "x", "invalid value: x" },
    { { type = "string", match = "^%d+$", err = "digits only" }, "12", "x", "digits only" },
    { { type = "string", not_match = "%s" }, "a", "a b", "invalid value: a b" },
    { { type = "string", match_none = { { pattern = "%s", err = "no spaces" } } }, "a", " ", "no spaces" },
    { { type = "string", match_all = { { pattern = "a" }, { pattern = "b", err = "needs b" } } },
      "ab", "a", "needs b" },
    { { type = "string", match_any = { patterns = { "^a", "^b" }, err = "a or b" } }, "bx", "cx", "a or b" },
    { { type = "array", contains = "x" }, { "y", "x" }, { "y" }, "expected to contain: x" },
    { { type = "string", is_regex = true }, "a(b)+", "a(b",
      "not a valid regex: a(b (missing closing parenthesis)" },
    { { type = "string", uuid = true }, "fd02801f-0957-4a15-a55a-c8d9606f30b5", "fd02801f",
      "expected a valid UUID" },
    { { type = "integer", timestamp = true }, 5, -1, "expected a valid timestamp" },
    { { type = "number", custom_validator = even }, 2, 3, "must be even" },
    { { type = "set", elements = STRING, mutually_exclusive_subsets = { { "a", "b" }, { "c" } } },
      { "a", "b" }, { "a", "c" }, "these sets are mutually exclusive: ('a', 'b'), ('c')" },
    { { type = "foreign", reference = "consumers", eq = null }, null, { id = "x" }, "value must be null" },
  }
  for _, case in ipairs(cases) do
    it("says: " .. case[4], function()
      assert.is_nil(error_of(case[1], case[2]))
      assert.equal(case[4], error_of(case[1], case[3]))
    end)
  end

  it("checks in Kong's order, so that one_of is told before match", function()
    assert.equal("expected one of: a", error_of({ type = "string", match = "^a$", one_of = { "a" } }, "b"))
  end)

  it("asks for required fields, also when they are null", function()
    assert.equal("required field missing", error_of({ type = "string", required = true }, nil))
    assert.equal("required field missing", error_of({ type = "string", required = true, default = "x" }, null))
  end)

  it("tells an unknown field", function()
    local _, failed = one_field(STRING):process({ g = 1 })
    assert.same({ g = "unknown field" }, failed)
  end)

  it("accepts a vault reference before other checks, where the field allows it", function()
    local reference = "{vault://env/some-key}"
    assert.is_nil(error_of({ type = "string", one_of = { "a" }, referenceable = true }, reference))
    assert.equal("expected one of: a", error_of({ type = "string", one_of = { "a" } }, reference))
  end)
end)

describe("schema: defaults", function()
  local schema = assert(Schema.new {
    name = "t",
    fields = {
      { flag = { type = "boolean", default = false } },
      { list = { type = "array", elements = STRING, default = { "a" } } },
      { needed = { type = "record", required = true, fields = { { port = { type = "integer", default = 80 } } } } },
      { optional = { type = "record", fields = { { port = { type = "integer", default = 81 } } } } },
    },
  })

  it("fills required records and leaves optional ones out", function()
    assert.same({ flag = false, list = { "a" }, needed = { port = 80 } }, (schema:process({})))
  end)

  it("fills an optional record that is there", function()
    assert.equal(81, schema:process({ optional = {} }).optional.port)
  end)

  it("takes null as no value", function()
    assert.is_nil(schema:process({ flag = null }).flag)
  end)

  it("hands out a fresh copy of a default each time", function()
    schema:process({}).list[1] = "changed"
    assert.equal("a", schema:process({}).list[1])
  end)

  it("does not change its input", function()
    local input = { needed = {} }
    schema:process(input)
    assert.same({ needed = {} }, input)
  end)
end)

describe("schema: shorthands, deprecation, transformations", function()
  local schema = assert(Schema.new {
    name = "t",
    fields = {
      { redis = { type = "record", required = true, fields = {
        { host = { type = "string", default = "localhost" } } } } },
      { old = { type = "string", deprecation = { message = "old is deprecated", removal_in_version = "4.0" } } },
      { double = NUMBER },
    },
    shorthand_fields = { { redis_host = {
      type = "string",
      deprecation = { message = "use redis.host", replaced_with = { { path = { "redis", "host" } } } },
      func = function(value) return { redis = { host = value } } end } } },
    transformations = { { input = { "double" }, on_write = function(value) return { double = 2 * value } end } },
  })

  it("turns a shorthand into the field it stands for, and warns", function()
    local out, warnings = schema:process({ redis_host = "r" })
    assert.equal("r", out.redis.host)
    assert.same({ { path = { "redis_host" }, message = "use redis.host" } }, warnings)
  end)

  it("refuses two different values for one thing", function()
    local _, failed = schema:process({ redis_host = "a", redis = { host = "b" } })
    assert.equal("both deprecated and new field are used but their values mismatch: "
      .. "redis_host = a vs redis.host = b", failed.redis_host)
  end)

  it("checks the type of a shorthand", function()
    local _, failed = schema:process({ redis_host = 5 })
    assert.equal("expected a string", failed.redis_host)
  end)

  it("warns of a deprecated field once it is used", function()
    local _, warnings = schema:process({ old = "x" })
    assert.same({ { path = { "old" }, message = "old is deprecated (scheduled for removal in 4.0)" } }, warnings)
    assert.same({}, select(2, schema:process({})))
  end)

  it("applies transformations unless told otherwise", function()
    assert.equal(6, schema:process({ double = 3 }).double)
    assert.equal(3, schema:process({ double = 3 }, { transform = false }).double)
  end)
end)

describe("schema: what is read back", function()
  local schema = assert(Schema.new {
    name = "t",
    fields = {
      { redis = { type = "record", required = true, fields = {
        { host = { type = "string" } }, { port = { type = "integer", default = 6379 } } } } },
      { hosts = { type = "array", elements = { type = "record", fields = { { name = STRING } },
        shorthand_fields = { { label = { type = "string", translate_backwards = { "name" },
          func = function(value) return { name = value } end } } } } } },
      { seconds = NUMBER }, { secret = STRING }, { salt = STRING },
    },
    shorthand_fields = {
      { redis_host = { type = "string", translate_backwards = { "redis", "host" },
        func = function(value) return { redis = { host = value } } end } },
      { ms = { type = "number", func = function(value) return { seconds = value / 1000 } end,
        deprecation = { message = "use seconds", replaced_with = { { path = { "seconds" },
          reverse_mapping_function = function(record) return record.seconds and record.seconds * 1000 end } } } } },
    },
    transformations = { { input = { "secret" }, needs = { "salt" },
      on_write = function(secret, salt) return { secret = salt .. secret } end,
      on_read = function(secret, salt) return { secret = secret:sub(#salt + 1) } end } },
  })

  it("has the shorthands again, at every level", function()
    local out = schema:process({ redis_host = "r", ms = 1500, hosts = { { label = "a" } } })
    assert.same({ host = "r", port = 6379 }, out.redis)
    assert.same({ redis = { host = "r", port = 6379 }, redis_host = "r", seconds = 1.5, ms = 1500,
      hosts = { { name = "a", label = "a" } } }, schema:backwards(out))
    assert.is_nil(out.redis_host)
    assert.is_nil(schema:backwards(schema:process({})).redis_host)
  end)

  it("undoes transformations, which run when all they need is there", function()
    local out = schema:process({ secret = "x", salt = "s-" })
    assert.equal("s-x", out.secret)
    assert.equal("x", schema:backwards(out).secret)
    assert.equal("x", schema:process({ secret = "x" }).secret)
  end)

  it("tells why a transformation failed", function()
    local failing = assert(Schema.new { name = "t", fields = { { a = STRING } },
      transformations = { { input = { "a" }, on_write = function() return nil, "no hash" end } } })
    local _, failed = failing:process({ a = "x" })
    assert.same({ ["@entity"] = { "transformation failed: no hash" } }, failed)
  end)
end)

describe("schema: json", function()
  local function field()
    return { type = "json", json_schema = { inline = { type = "object", required = { "a" } } } }
  end

  it("is checked by its JSON Schema", function()
    assert.is_nil(error_of(field(), { a = 1 }))
    assert.matches("^value failed JSON%-schema validation: .*property 'a' is required", error_of(field(), { b = 1 }))
    assert.equal("expected a value that JSON can hold", error_of(field(), print))
  end)
end)

describe("schema: errors as lists and text", function()
  local schema = assert(Schema.new {
    name = "t",
    fields = {
      { config = { type = "record", required = true, fields = {
        { minute = { type = "number", gt = 0 } }, { names = { type = "array", elements = STRING } } },
        entity_checks = { { at_least_one_of = { "minute", "names" } } } } },
    },
  })

  it("flattens nested errors with 1-based indexes", function()
    local _, failed = schema:process({ config = { minute = 0, names = { "a", 1 } } })
    assert.same({
      { path = { "config", "minute" }, message = "value must be greater than 0" },
      { path = { "config", "names", 2 }, message = "expected a string" },
    }, schema:flatten_errors(failed))
  end)

  it("gives errors about the whole the path of the whole", function()
    local _, failed = schema:process({ config = {} })
    local text = "at least one of these fields must be non-empty: 'minute', 'names'"
    assert.same({ config = { ["@entity"] = { text } } }, failed)
    assert.same({ { path = { "config" }, message = text } }, schema:flatten_errors(failed))
  end)

  it("words errors as Kong's Admin API does", function()
    assert.equal("schema violation (host: required field missing)",
      schema:errors_to_string({ host = "required field missing" }))
    assert.equal("2 schema violations (a: x; b: y)", schema:errors_to_string({ b = "y", a = "x" }))
  end)

  it("refuses an input that is no table", function()
    assert.same({ ["@entity"] = { "expected an input table" } }, select(2, schema:process("x")))
  end)
end)

describe("schema: definitions", function()
  local cases = {
    { nil, "expected a definition table" },
    { { name = "t" }, "t: error in schema definition: no 'fields' table" },
    { { name = "t", fields = { { a = { type = "strng" } } } }, "t.a: unknown type 'strng'" },
    { { name = "t", fields = { { a = { type = "array", elements = {} } } } },
      "t.a.elements: unknown type 'nil'" },
    { { name = "t", fields = { "a" } }, "t: fields[1] must be a table of one field name" },
    { { name = "t", fields = {}, entity_checks = { { nope = {} } } },
      "t.entity_checks[1]: unknown entity check 'nope'" },
  }
  for _, case in ipairs(cases) do
    it("says: " .. case[2], function()
      local schema, err = Schema.new(case[1])
      assert.is_nil(schema)
      assert.equal(case[2], err)
    end)
  end

  it("makes callable field definitions", function()
    local name = Schema.define { type = "string", len_max = 3 }
    assert.same({ type = "string", len_max = 3, required = true }, name { required = true })
    assert.is_nil(name.required)
  end)
end)

describe("schema: what guests use of it", function()
  it("makes records required unless they say otherwise", function()
    local definition = { name = "t", fields = {
      { a = { type = "record", fields = { { b = { type = "record", fields = { { c = { type = "integer", default = 1 } } } } } } } },
      { d = { type = "record", required = false, fields = { { e = { type = "integer", default = 1 } } } } },
      { f = { type = "array", elements = { type = "record", fields = { { g = { type = "record", fields = {} } } } } } },
    } }
    local out = Schema.new(Schema.with_whole_records(definition)):process({ f = { {} } })
    assert.same({ a = { b = { c = 1 } }, f = { {} } }, out)
    assert.is_nil((Schema.new(definition):process({})).a)
  end)

  it("has the checks by name", function()
    assert.is_true(Schema.validators.is_regex("^a"))
    assert.same({ nil, "value should be between 1 and 2" }, { Schema.validators.between(3, { 1, 2 }) })
  end)
end)
