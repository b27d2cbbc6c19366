local json = require "moongate.pdk.json"
local jsonschema = require "moongate.jsonschema"

local function check(schema, value)
  local validate = assert(jsonschema.compile(schema))
  return validate(assert(json.decode("[" .. value .. "]"))[1])
end

-- The message, or true.
local function verdict(schema, value)
  local ok, err = check(schema, value)
  return ok and true or err
end

describe("jsonschema", function()
  local saved

  setup(function()
    saved = rawget(_G, "ngx")
    rawset(_G, "ngx", { re = { find = function(text, pattern)
      if pattern == "(" then
        return nil, nil, "broken"
      end
      return text:find(pattern)
    end } })
  end)

  teardown(function()
    rawset(_G, "ngx", saved)
  end)

  -- schema, what passes, what does not with the message.
  for _, case in ipairs({
    { '{"type":"string"}', { '"x"', '""' }, { ["1"] = "wrong type: expected string, got number",
      ["null"] = "wrong type: expected string, got null", ["[]"] = "wrong type: expected string, got array",
      ["{}"] = "wrong type: expected string, got object", ["true"] = "wrong type: expected string, got boolean" } },
    { '{"type":"integer"}', { "1", "1.0", "-3" }, { ["1.5"] = "wrong type: expected integer, got number" } },
    { '{"type":["null","array"]}', { "null", "[]" }, { ["{}"] = "wrong type: expected null or array, got object" } },
    { '{"enum":[1,"a",{"b":[]},null]}', { "1", '"a"', '{"b":[]}', "null" },
      { ["2"] = "matches none of the enum values", ['{"b":{}}'] = "matches none of the enum values" } },
    { '{"const":{"a":1}}', { '{"a":1}' }, { ['{"a":2}'] = "is not the constant value" } },
    { '{"minimum":2,"maximum":4}', { "2", "4", '"x"' },
      { ["1"] = "expected a number greater than or equal to 2", ["5"] = "expected a number less than or equal to 4" } },
    { '{"minimum":2,"exclusiveMinimum":true,"maximum":4,"exclusiveMaximum":true}', { "3" },
      { ["2"] = "expected a number greater than 2", ["4"] = "expected a number less than 4" } },
    { '{"exclusiveMinimum":2,"exclusiveMaximum":4}', { "3" },
      { ["2"] = "expected a number greater than 2", ["4"] = "expected a number less than 4" } },
    { '{"multipleOf":0.1}', { "0.3", "5", '"x"' }, { ["0.35"] = "expected a multiple of 0.1" } },
    { '{"minLength":2,"maxLength":3}', { '"ab"', '"äöü"', "1" },
      { ['"a"'] = "string too short: expected at least 2 characters, got 1",
        ['"abcd"'] = "string too long: expected at most 3 characters, got 4" } },
    { '{"pattern":"^a"}', { '"ab"', "1" }, { ['"b"'] = 'failed to match pattern "^a"' } },
    { '{"pattern":"("}', { "1" }, { ['"b"'] = "the pattern cannot be applied: broken" } },
    { '{"format":"ipv4"}', { '"1.2.3.4"', "1" }, { ['"1.2.3.400"'] = "expected valid ipv4" } },
    { '{"format":"unknown"}', { '"x"' }, {} },
    { '{"items":{"type":"string"}}', { '["a"]', "[]", "1" }, { ['["a",1]'] = "item 2: wrong type: expected string, got number" } },
    { '{"items":[{"type":"string"}],"additionalItems":false}', { '["a"]', "[]" },
      { ['["a",1]'] = "item 2: nothing is allowed here" } },
    { '{"minItems":1,"maxItems":2}', { "[1]", "{}" },
      { ["[]"] = "expected at least 1 items", ["[1,2,3]"] = "expected at most 2 items" } },
    { '{"uniqueItems":true}', { '[1,"1",[1],{"a":1}]' },
      { ['[{"a":1,"b":2},1,{"b":2,"a":1}]'] = "expected unique items, but items 1 and 3 are equal" } },
    { '{"contains":{"type":"string"}}', { '[1,"a"]', "{}" }, { ["[1]"] = "no item is as expected" } },
    { '{"required":["a"]}', { '{"a":null}', "[]" }, { ["{}"] = "property 'a' is required" } },
    { '{"properties":{"a":{"properties":{"b":{"type":"null"}}}}}', { '{"a":{"b":null}}', '{"c":1}' },
      { ['{"a":{"b":1}}'] = "property 'a': property 'b': wrong type: expected null, got number" } },
    { '{"properties":{"a":{}},"patternProperties":{"^x":{"type":"number"}},"additionalProperties":false}',
      { '{"a":1,"x1":2}' }, { ['{"b":1}'] = "property 'b': additional properties are forbidden",
        ['{"xa":"s"}'] = "property 'xa': wrong type: expected number, got string" } },
    { '{"additionalProperties":{"type":"number"}}', { '{"a":1}' },
      { ['{"a":"s"}'] = "property 'a': wrong type: expected number, got string" } },
    { '{"minProperties":1,"maxProperties":1}', { '{"a":1}' },
      { ["{}"] = "expected at least 1 properties", ['{"a":1,"b":2}'] = "expected at most 1 properties" } },
    { '{"dependencies":{"a":["b"],"c":{"required":["d"]}}}', { "{}", '{"a":1,"b":1}' },
      { ['{"a":1}'] = "with property 'a': property 'b' is required",
        ['{"c":1}'] = "with property 'c': property 'd' is required" } },
    { '{"allOf":[{"type":"number"},{"minimum":2}]}', { "2" }, { ["1"] = "expected a number greater than or equal to 2" } },
    { '{"anyOf":[{"type":"number"},{"type":"null"}]}', { "2", "null" }, { ['"x"'] = "matches none of the schemas of anyOf" } },
    { '{"oneOf":[{"type":"number"},{"minimum":2}]}', { "1", '"x"' },
      { ["3"] = "should match exactly one of the schemas of oneOf, matches 2" } },
    { '{"not":{"type":"number"}}', { '"x"' }, { ["1"] = "matches a schema that it should not match" } },
    { '{"definitions":{"p/q":{"type":"number"}},"items":{"$ref":"#/definitions/p~1q","type":"string"}}', { "[1]" },
      { ['["x"]'] = "item 1: wrong type: expected number, got string" } },
    { '{"properties":{"next":{"$ref":"#"},"v":{"type":"number"}}}', { '{"v":1,"next":{"next":{"v":1}}}' },
      { ['{"next":{"next":{"v":"x"}}}'] =
        "property 'next': property 'next': property 'v': wrong type: expected number, got string" } },
    { '{"allOf":[{"$ref":"#"}]}', {}, { ["1"] = "nested too deep" } },
    { "true", { "1" }, {} },
    { "{}", { "1", "null" }, {} },
  }) do
    it("knows " .. case[1], function()
      for _, value in ipairs(case[2]) do
        assert.is_true(verdict(case[1], value), value)
      end
      for value, message in pairs(case[3]) do
        assert.same(message, verdict(case[1], value))
      end
    end)
  end

  it("says what is wrong with a schema", function()
    for text, why in pairs({
      ["{"] = "not JSON: ", ["[]"] = "a schema must be an object", ["1"] = "a schema must be an object",
      ['{"type":"text"}'] = "type 'text' is unknown", ['{"enum":1}'] = "enum must be of type array",
      ['{"items":1}'] = "a schema must be an object", ['{"minLength":-1}'] = "minLength must be a whole number, 0 or more",
      ['{"properties":[]}'] = "properties must be of type object", ['{"anyOf":[]}'] = "anyOf must be an array of schemas",
      ['{"$ref":"http://a.test/x"}'] = "reference 'http://a.test/x': only references within the document are known",
      ['{"$ref":"#/nowhere/x"}'] = "reference '#/nowhere/x' names nothing",
      ['{"$ref":"#x"}'] = "reference '#x': not a JSON pointer", ['{"multipleOf":0}'] = "multipleOf must be a number greater than 0",
      ['{"minimum":"1"}'] = "minimum must be of type number",
    }) do
      local validate, err = jsonschema.compile(text)
      assert.is_nil(validate, text)
      assert.matches(why, err, 1, true)
    end
  end)

  it("knows formats", function()
    local formats = require "moongate.jsonschema.formats"
    for _, case in ipairs({
      { "date", { "2024-02-29" }, { "2023-02-29", "2024-13-01", "2024-1-1", "" } },
      { "time", { "23:59:60Z", "01:02:03.5+01:00" }, { "24:00:00Z", "01:02:03", "01:02:03.Z" } },
      { "date-time", { "2024-02-29T01:02:03Z", "1999-12-31t23:59:59-08:00" }, { "2024-02-29", "2024-02-30T01:02:03Z" } },
      { "email", { "a.b+c@d.test" }, { "a", "@b", "a@b@c", "a b@c" } },
      { "hostname", { "a", "a-b.c1" }, { "", "-a", "a..b", "a_b", ("a"):rep(64) } },
      { "ipv6", { "::1", "2001:db8::1" }, { "1.2.3.4", ":::", "x" } },
      { "uri", { "https://a.test/b?c", "urn:x" }, { "/a", "a b:c", "" } },
      { "uuid", { "00000000-0000-4000-8000-00000000000a" }, { "00000000", "0000000000004000800000000000000a" } },
    }) do
      for i, want in ipairs({ true, false }) do
        for _, text in ipairs(case[i + 1]) do
          assert.same(want, formats[case[1]](text) and true or false, case[1] .. ": " .. text)
        end
      end
    end
  end)
end)
