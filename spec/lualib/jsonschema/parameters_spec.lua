local json = require "moongate.pdk.json"
local parameters = require "moongate.jsonschema.parameters"

local ARRAY = '{"type":"array","items":{"type":"integer"}}'
local OBJECT = '{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"boolean"}}}'

-- JSON text of what was read, or nil.
local function read(where, style, explode, schema, source)
  local value = parameters.read({ ["in"] = where, name = "p", style = style, explode = explode }, json.decode(schema), source)
  return value ~= nil and json.encode(value) or nil
end

describe("jsonschema.parameters", function()
  for _, case in ipairs({
    { "header", "simple", false, '{"type":"integer"}', "5", "5" },
    { "header", "simple", false, '{"type":"integer"}', "5x", '"5x"' },
    { "header", "simple", false, '{"type":"boolean"}', "true", "true" },
    { "header", "simple", false, '{"type":"string"}', "a,b", '"a,b"' },
    { "header", "simple", false, ARRAY, "1,2", "[1,2]" },
    { "header", "simple", false, ARRAY, "", "[]" },
    { "header", "simple", false, OBJECT, "a,1,b,true", '{"a":1,"b":true}' },
    { "header", "simple", true, OBJECT, "a=1,b=x", '{"a":1,"b":"x"}' },
    { "path", "label", false, ARRAY, ".1,2", "[1,2]" },
    { "path", "label", true, ARRAY, ".1.2", "[1,2]" },
    { "path", "label", true, OBJECT, ".a=1.b=true", '{"a":1,"b":true}' },
    { "path", "label", false, '{"type":"integer"}', ".5", "5" },
    { "path", "matrix", false, '{"type":"integer"}', ";p=5", "5" },
    { "path", "matrix", false, ARRAY, ";p=1,2", "[1,2]" },
    { "path", "matrix", true, ARRAY, ";p=1;p=2", "[1,2]" },
    { "path", "matrix", false, OBJECT, ";p=a,1,b,true", '{"a":1,"b":true}' },
    { "path", "matrix", true, OBJECT, ";a=1;b=true", '{"a":1,"b":true}' },
    { "query", "form", true, '{"type":"integer"}', { p = { "5", "6" } }, "5" },
    { "query", "form", true, '{"type":"string"}', { p = true }, '""' },
    { "query", "form", true, ARRAY, { p = { "1", "2" } }, "[1,2]" },
    { "query", "form", true, ARRAY, { p = "1" }, "[1]" },
    { "query", "form", false, ARRAY, { p = "1,2" }, "[1,2]" },
    { "query", "spaceDelimited", false, ARRAY, { p = "1 2" }, "[1,2]" },
    { "query", "pipeDelimited", false, ARRAY, { p = "1|2" }, "[1,2]" },
    { "query", "form", true, OBJECT, { a = "1", b = "true", c = "x" }, '{"a":1,"b":true}' },
    { "query", "form", false, OBJECT, { p = "a,1" }, '{"a":1}' },
    { "query", "deepObject", true, OBJECT, { ["p[a]"] = "1", ["p[b]"] = "true", ["q[a]"] = "2" }, '{"a":1,"b":true}' },
    { "query", "form", true, OBJECT, {}, nil },
    { "query", "form", true, ARRAY, {}, nil },
    { "header", "simple", false, ARRAY, nil, nil },
  }) do
    it(("reads %s, %s%s"):format(case[1], case[2], case[3] and ", exploded" or ""), function()
      assert.same(case[6], (read(case[1], case[2], case[3], case[4], case[5])))
    end)
  end
end)
