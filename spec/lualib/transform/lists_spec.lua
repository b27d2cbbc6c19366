-- Rules over lists of text: arguments, parts, members.

local arguments = require "moongate.transform.arguments"
local json_object = require "moongate.transform.json_object"
local multipart = require "moongate.transform.multipart"
local rules = require "moongate.transform.rules"

local function conf(more)
  local out = {}
  for action, list in pairs(more) do
    out[action] = { x = list }
  end
  return rules.compile(out, "x")
end

describe("transform.rules", function()
  it("are nothing when nothing is configured", function()
    assert.is_nil(rules.compile({ add = { x = {} }, remove = {} }, "x"))
  end)

  it("run in the order remove, rename, replace, add, append", function()
    local list = arguments.read("a=1&b=2&c=3")
    assert.is_true(rules.apply(conf({ remove = { "a" }, rename = { "b:a" }, replace = { "a:x", "q:no" },
      add = { "a:no", "d:new:er" }, append = { "c:more", "e:5" } }), list))
    assert.same("a=x&c=3&d=new%3Aer&c=more&e=5", arguments.write(list))
  end)

  it("say when nothing changed", function()
    assert.is_false(rules.apply(conf({ remove = { "a" }, rename = { "b:a" }, replace = { "a:x" } }),
      arguments.read("c=1")))
  end)
end)

describe("transform.arguments", function()
  local function apply(text, actions)
    local list = arguments.read(text)
    rules.apply(conf(actions), list)
    return arguments.write(list)
  end

  it("leaves alone what no rule names", function()
    assert.same("%7e=+&b", apply("%7e=+&b", { remove = { "z" } }))
    assert.same("a=%20&b", apply("a=%20&c%63=1&b", { remove = { "cc" } }))
  end)

  it("knows names however they are written, and repeated ones", function()
    assert.same("b=2", apply("%61=1&b=2&a&a=3", { remove = { "a" } }))
    assert.same("x=1&x&x=3", apply("a=1&a&%61=3", { rename = { "a:x" } }))
    assert.same("a=new&b", apply("a=1&b&a=2", { replace = { "a:new" } }))
    assert.same("x=1", apply("x=9&a=1&x=8", { rename = { "a:x" } }))
  end)

  it("starts from nothing", function()
    assert.same("a=%26%3D", apply(nil, { add = { "a:&=" } }))
  end)
end)

describe("transform.multipart", function()
  local FILE = 'Content-Disposition: form-data; filename="a.png"; name="f"\r\nContent-Type: image/png\r\n\r\n\0\r\n--\r\n\255'
  local BODY = '--B\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n--B\r\n' .. FILE .. "\r\n--B--\r\n"

  local function apply(actions, body)
    local list = assert(multipart.read(body or BODY, "B"))
    rules.apply(conf(actions), list)
    return multipart.write(list, "B")
  end

  it("keeps files as they are", function()
    assert.same("--B\r\n" .. FILE .. "\r\n--B--\r\n", apply({ remove = { "a" } }))
    assert.same(BODY, apply({ remove = { "z" } }))
  end)

  it("renames, replaces and adds parts", function()
    assert.same((BODY:gsub('name="f"', 'name="g%%22"')), apply({ rename = { 'f:g"' } }))
    local out = apply({ replace = { "a:x" }, add = { "n:y" } }, BODY)
    assert.matches('name="a"\r\n\r\nx\r\n', out, 1, true)
    assert.matches('name="n"\r\n\r\ny\r\n%-%-B%-%-\r\n$', out)
  end)

  it("starts from an empty body", function()
    assert.same('--B\r\nContent-Disposition: form-data; name="n"\r\n\r\ny\r\n--B--\r\n', apply({ add = { "n:y" } }, ""))
  end)

  it("refuses a body cut anywhere within its parts", function()
    for i = 1, #BODY - 4 do
      assert.is_nil((multipart.read(BODY:sub(1, i), "B")), i)
    end
  end)
end)

describe("transform.json_object", function()
  local TEXT = ' {"n":12345678901234567890 , "l" : [ ], "o":{"a\\"]":[{"x":1}]},"s":"\\u00e9"} '

  local function apply(text, actions)
    local list = assert(json_object.read(text))
    rules.apply(conf(actions), list)
    return json_object.write(list)
  end

  it("keeps the bytes of members nobody names", function()
    assert.same('{"n":12345678901234567890,"l":[ ],"o":{"a\\"]":[{"x":1}]},"s":"\\u00e9"}', apply(TEXT, { remove = { "z" } }))
  end)

  it("changes members", function()
    assert.same('{"l":[ ],"o2":{"a\\"]":[{"x":1}]},"s":1,"t":2}',
      apply(TEXT, { remove = { "n" }, rename = { "o:o2" }, replace = { "s:1" }, add = { "t:2", "l:3" } }))
    assert.same('{"a":[1,2],"b":[3],"c":[4,5],"d":6}',
      apply('{"a":1,"b":[],"c":[4]}', { append = { "a:2", "b:3", "c:5", "d:6" } }))
    assert.same("{}", apply('{"\\u0061":1}', { remove = { "a" } }))
  end)

  it("refuses what is no object", function()
    for _, text in ipairs({ "", "[]", "1", "{", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1}x', '{a:1}', '{"a":[1}' , '{"a":"}' }) do
      local list, why = json_object.read(text)
      assert.is_nil(list, text)
      assert.matches("^not a JSON object", why)
    end
  end)

  it("refuses an object cut anywhere", function()
    local text = TEXT:match("%S.*%S")
    for i = 0, #text - 1 do
      assert.is_nil((json_object.read(text:sub(1, i))), i)
    end
  end)
end)
