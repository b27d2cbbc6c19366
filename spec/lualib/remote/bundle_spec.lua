local bundle = require "moongate.remote.bundle"

describe("a bundle of configuration files", function()
  it("gives back what was packed, and is the same text for the same files", function()
    local files = { ["b.yaml"] = "b: \"\\\"\n", ["a.json"] = "{}", ["plugins/x/handler.lua"] = "return {}" }
    local text = assert(bundle.pack(files))
    assert.same(text, bundle.pack({ ["plugins/x/handler.lua"] = "return {}", ["a.json"] = "{}", ["b.yaml"] = "b: \"\\\"\n" }))
    assert.same(files, bundle.unpack(text, true))
  end)

  it("takes code only where that is allowed", function()
    local text = assert(bundle.pack({ ["a.yaml"] = "", ["plugins/x/handler.lua"] = "" }))
    local files, why = bundle.unpack(text, false)
    assert.is_nil(files)
    assert.same("file 'plugins/x/handler.lua' is Lua code, which is taken only with a signature", why)
  end)

  local NAMES = { "../a.yaml", "/a.yaml", "x/a.yaml", ".a.yaml", "plugins/../a.lua", "plugins/x/.h.lua", "a.lua", "a",
    "plugins//x.lua", "a\0.yaml", ("x"):rep(300) .. ".yaml", "plugins/x/handler.so" }
  for _, name in ipairs(NAMES) do
    it(("refuses the file name %q"):format(name:sub(1, 20)), function()
      local text = ('{"format":1,"files":[{"name":%s,"text":""},{"name":"ok.yaml","text":""}]}'):format(
        require("moongate.util.json_encode").encode(name))
      local files, why = bundle.unpack(text, true)
      assert.is_nil(files)
      assert.matches("^file '", why)
    end)
  end

  local DAMAGED = {
    ["no object"] = "[", ["another format"] = '{"format":2,"files":[]}', ["no files"] = '{"format":1}',
    ["nothing in it"] = '{"format":1,"files":[]}', ["no text"] = '{"format":1,"files":[{"name":"a.yaml"}]}',
    ["one name twice"] = '{"format":1,"files":[{"name":"a.yaml","text":""},{"name":"a.yaml","text":"x"}]}',
  }
  for what, text in pairs(DAMAGED) do
    it("refuses " .. what, function()
      local files, why = bundle.unpack(text, true)
      assert.is_nil(files)
      assert.is_string(why)
    end)
  end

  it("is not made of nothing", function()
    assert.same({ nil, "there is no .yaml, .yml or .json file" }, { bundle.pack({}) })
  end)
end)
