-- The deterministic JSON writer.

local json = require("moongate.util.json_encode")

describe("json_encode", function()
  local cases = {
    { { b = 1, a = 2 }, '{"a":2,"b":1}' }, { { 1, 2 }, "[1,2]" }, { {}, "{}" }, { json.array(), "[]" },
    { 9007199254740993, "9007199254740992" }, { 1e15, "1000000000000000" }, { 1718000000123, "1718000000123" },
    { 0.1, "0.1" }, { 1e300, "1e+300" }, { -3, "-3" }, { 1 / 3, "0.33333333333333331" },
    { "a/b", '"a/b"' }, { 'q"\\\n\1', '"q\\"\\\\\\n\\u0001"' }, { json.null, "null" }, { true, "true" },
    { { [1.5] = 1 }, '{"1.5":1}' }, { "\195\169", '"\195\169"' }, { "\0", '"\\u0000"' },
  }
  for _, case in ipairs(cases) do
    it("writes " .. case[2], function()
      assert.equal(case[2], json.encode(case[1]))
    end)
  end

  it("is callable", function()
    assert.equal("[]", json(json.array({})))
  end)

  local loop = {}
  loop.self = loop
  local misuse = {
    { print, "JSON cannot hold a function" }, { 0 / 0, "JSON has no NaN and no infinity" },
    { loop, "JSON deeper than 200 levels, or a table inside itself" },
    { { [true] = 1 }, "a JSON object key must be a string, not a boolean" },
    { { ["2"] = 1, [2] = 1 }, 'two keys of one JSON object are both written "2"' },
  }
  for _, case in ipairs(misuse) do
    it("raises: " .. case[2], function()
      local ok, err = pcall(json.encode, case[1])
      assert.is_false(ok)
      assert.equal(case[2], err)
    end)
  end
end)
