-- Checks over several fields of a record, with the text of each.

local Schema = require("moongate.schema")
local null = require("cjson").null

local FIELDS = {
  { a = { type = "string" } }, { b = { type = "string" } }, { c = { type = "string" } },
  { n = { type = "number", gt = 0 } },
  { r = { type = "record", fields = { { x = { type = "string" } }, { y = { type = "string" } } } } },
}

local function errors_of(check, input)
  local schema = assert(Schema.new { name = "t", fields = FIELDS, entity_checks = { check } })
  local out, failed = schema:process(input)
  return not out and failed or nil
end

local WHOLE = "@entity"

describe("entity checks", function()
  local cases = {
    { { at_least_one_of = { "a", "b" } }, { b = "1" }, {},
      "at least one of these fields must be non-empty: 'a', 'b'" },
    { { only_one_of = { "a", "b" } }, { a = "1" }, { a = "1", b = "2" },
      "exactly one of these fields must be non-empty: 'a', 'b'" },
    { { distinct = { "a", "b" } }, { a = "1", b = "2" }, { a = "1", b = "1" },
      "values of these fields must be distinct: 'a', 'b'" },
    { { mutually_required = { "r.x", "r.y" } }, { r = {} }, { r = { x = "1" } },
      "all or none of these fields must be set: 'r.x', 'r.y'" },
    { { mutually_exclusive = { "a", "b" } }, { a = "1" }, { a = "1", b = "1" },
      "only one or none of these fields must be set: 'a', 'b'" },
    { { mutually_exclusive_sets = { set1 = { "a" }, set2 = { "b", "c" } } }, { b = "1", c = "1" },
      { a = "1", c = "1" }, "these sets are mutually exclusive: ('a'), ('b', 'c')" },
    { { conditional_at_least_one_of = { if_field = "a", if_match = { eq = "on" },
        then_at_least_one_of = { "b", "c" }, then_err = "set one of %s with a" } },
      { a = "off" }, { a = "on" }, "set one of 'b', 'c' with a" },
    { { conditional_at_least_one_of = { if_field = "a", if_match = { eq = "on" },
        then_at_least_one_of = { "b" }, else_match = { eq = "off" }, else_then_at_least_one_of = { "c" } } },
      { a = "off", c = "1" }, { a = "off" }, "at least one of these fields must be non-empty: 'c'" },
    { { custom_entity_check = { field_sources = { "a" }, fn = function(entity)
        if entity.a == null then
          return nil, "a is missing"
        end
        return true
      end } }, { a = "1" }, {}, "a is missing" },
  }
  for _, case in ipairs(cases) do
    it("says: " .. case[4], function()
      assert.is_nil(errors_of(case[1], case[2]))
      assert.same({ [WHOLE] = { case[4] } }, errors_of(case[1], case[3]))
    end)
  end

  describe("conditional", function()
    local check = { conditional = {
      if_field = "a", if_match = { eq = "on" }, then_field = "r.x", then_match = { required = true } } }

    it("puts the error at the field and at the whole", function()
      assert.same({
        r = { x = "required field missing" },
        [WHOLE] = { "failed conditional validation given value of field 'a'" },
      }, errors_of(check, { a = "on", r = {} }))
    end)

    it("does not hold for an absent field, nor for another value", function()
      assert.is_nil(errors_of(check, {}))
      assert.is_nil(errors_of(check, { a = "off" }))
    end)

    it("holds for an absent field when the condition names null", function()
      local on_null = { conditional = {
        if_field = "a", if_match = { eq = null }, then_field = "b", then_match = { required = true },
        then_err = "b without a" } }
      assert.equal("b without a", errors_of(on_null, {}).b)
      assert.is_nil(errors_of(on_null, { a = "x" }))
    end)
  end)

  it("are left out when one of their fields is wrong already", function()
    assert.same({ n = "value must be greater than 0" },
      errors_of({ mutually_required = { "n", "a" } }, { n = 0 }))
  end)

  it("may put errors at fields from a custom check", function()
    local check = { custom_entity_check = { field_sources = {}, fn = function()
      return nil, { ["r.y"] = "bad y" }
    end } }
    assert.same({ r = { y = "bad y" } }, errors_of(check, { r = {} }))
  end)
end)
