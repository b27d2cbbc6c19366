local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"

describe("ai.span", function()
  it("cuts an object into raw members and keeps digits, order and spaces", function()
    local at, names = span.object(' {"b": 12345678901234567890, "a":[ ], "c":{"x":1.0e+5}} ')
    assert.same({ "b", "a", "c" }, names)
    assert.equal("12345678901234567890", at.b)
    assert.equal("[ ]", at.a)
    assert.equal('{"x":1.0e+5}', at.c)
  end)

  it("reads names that are written with escapes", function()
    assert.equal("1", span.object('{"mod\\u0065l":1}').model)
  end)

  it("refuses a name given twice, also when written differently", function()
    local at, err = span.object('{"model":"a","mod\\u0065l":"b"}')
    assert.is_nil(at)
    assert.matches("invalid json", err)
  end)

  it("refuses what is not JSON and names the byte", function()
    for _, case in ipairs({
      { '{"a":1,}', 8 }, { '{"a" 1}', 6 }, { '{"a":01}', 7 }, { '{"a":tru}', 6 },
      { '{"a":"\n"}', 7 }, { '{"a":"\\x"}', 7 }, { '{"a":1}x', 8 }, { '{"a":[1 2]}', 9 },
      { '{"a":.5}', 6 }, { '{"a":1.}', 8 }, { '{"a":1e}', 8 },
      { '{"a":-}', 7 }, { '{"a":"\\u12"}', 7 },
      { '{"a":', 6 }, { "{", 2 },
    }) do
      local at, err = span.object(case[1])
      assert.is_nil(at, case[1])
      assert.equal("invalid json at byte " .. case[2], err, case[1])
    end
  end)

  it("refuses every cut of a document", function()
    local text = '{"a":[1,{"b":"\\u00e9\\n"},null,true,false,-0.5e3]}'
    assert.is_table(span.object(text))
    for i = 0, #text - 1 do
      assert.is_nil((span.object(text:sub(1, i))))
    end
  end)

  it("stops at depth instead of overflowing", function()
    local at, err = span.object('{"a":' .. ("["):rep(100000) .. ("]"):rep(100000) .. "}")
    assert.is_nil(at)
    assert.matches("invalid json", err)
  end)

  it("lists elements and follows paths", function()
    assert.same({ "1", '"x"', "{}" }, span.array('[1, "x",{}]'))
    assert.equal("2", span.path('{"a":{"b":2}}', "a", "b"))
    assert.is_nil(span.path('{"a":null}', "a", "b"))
    assert.is_nil(span.path('{"a":null}', "a"))
    assert.is_nil(span.path("[1]", "a"))
  end)
end)

describe("ai.json_text", function()
  it("quotes without touching slashes or UTF-8", function()
    assert.equal('"a/b\\"\\\\\\n\\u0001\195\169"', json_text.quote('a/b"\\\n\1\195\169'))
  end)

  it("reads strings back, lone surrogates included", function()
    assert.equal("\240\159\152\128", json_text.unquote('"\\ud83d\\ude00"'))
    assert.equal("a\239\191\189b", json_text.unquote('"a\\ud83db"'))
    assert.is_nil(json_text.unquote("12"))
  end)

  it("writes numbers with their digits", function()
    assert.equal("512", json_text.number(512))
    assert.equal("0.7", json_text.number(0.7))
    assert.equal("1700000000", json_text.number(1700000000))
    assert.is_nil(json_text.number(0 / 0))
  end)
end)
