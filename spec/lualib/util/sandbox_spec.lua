local sandbox = require "moongate.util.sandbox"

local function run(text, extra)
  local fn, err = sandbox.compile(text, "snippet", extra)
  assert(fn, err)
  return fn()
end

describe("util.sandbox", function()
  it("runs an expression with the standard library and what it is given", function()
    assert.same("AB2", run("return string.upper('ab') .. #list", { list = { 1, 2 } }))
    assert.is_number(run("return os.time()"))
  end)

  it("refuses bytecode and says where text is wrong", function()
    local fn, err = sandbox.compile(string.dump(function() end), "snippet")
    assert.is_nil(fn)
    assert.matches("attempt to load chunk with wrong mode", err, 1, true)
    fn, err = sandbox.compile("return return", "custom_fields_by_lua.x")
    assert.is_nil(fn)
    assert.matches("^custom_fields_by_lua.x:1:", err)
  end)

  it("hides what could change or leave the gateway", function()
    for _, name in ipairs({ "require", "io", "debug", "load", "loadstring", "dofile", "package",
      "getfenv", "setfenv", "setmetatable", "getmetatable", "rawset", "collectgarbage", "_G", "jit",
      "newproxy", "module", "coroutine", "ffi", "print" }) do
      assert.is_nil(run("return " .. name), name)
    end
    assert.is_nil(run("return os.execute or os.getenv or os.exit or string.dump"))
  end)

  it("lets a snippet change only its own copies", function()
    run("string.upper = nil; table.insert = nil; math.pi = 3")
    assert.is_function(string.upper)
    assert.is_function(table.insert)
    assert.same("A", run("return string.upper('a')"))
  end)

  it("sets no globals", function()
    local ok, err = pcall(run, "leak = 1")
    assert.is_false(ok)
    assert.matches("cannot set the global 'leak': declare it local", err, 1, true)
  end)

  it("caps string.rep", function()
    local ok, err = pcall(run, "return string.rep('x', 2e6)")
    assert.is_false(ok)
    assert.matches("over 1 MB", err, 1, true)
    assert.same("xx", run("return string.rep('x', 2)"))
  end)

  it("takes only the functions of a module that read", function()
    local get, is = function() end, function() end
    assert.same({ get_a = get, is_b = is },
      sandbox.readers({ get_a = get, is_b = is, set_a = get, get_c = 1, getter = get }))
  end)
end)
