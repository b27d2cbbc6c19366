local buffer = require "moongate.guest.buffer"

describe("string.buffer for guests", function()
  it("does what LuaJIT's does", function()
    local b = buffer.new(100)
    assert.same("a1b2", b:put("a", 1):putf("%s%d", "b", 2):tostring())
    assert.same(4, #b)
    assert.same("a1", b:get(2))
    assert.same({ "b", "2" }, { b:get(1, 1) })
    assert.same("", b:get())
    b:set("text")
    assert.same("xt", b:skip(2):get())
    assert.same("", tostring(b:put("gone"):reset()))
    assert.same("onetwo", buffer.new():put(buffer.new():put("one"), "two"):get())
    assert.same("<x>", "<" .. buffer.new():put("x") .. ">")
    assert.same({ a = 1, { "b" } }, buffer.decode(buffer.encode({ a = 1, { "b" } })))
    assert.same("s", buffer.new():encode("s"):decode())
    b:free()
  end)

  it("hands out no pointer", function()
    local b = buffer.new()
    for _, name in ipairs({ "ref", "reserve", "commit", "putcdata" }) do
      assert.is_nil(b[name])
    end
    assert.same("buffer", getmetatable(b))
  end)

  it("says what is wrong", function()
    assert.has_error(function()
      buffer.new().put({}, "x")
    end, "bad argument #1 to a buffer's method (buffer expected)")
  end)
end)
