local environment = require "moongate.guest.environment"

describe("the modules of a plugin from a file", function()
  local env, outer

  setup(function()
    outer = { ngx = _G.ngx, kong = _G.kong }
    _G.ngx = { null = 1 }
    _G.kong = { router = {}, client = {} }
    env = environment.new("probe", {
      plain = function(fn) return fn end,
      stopped = function() return false end,
      set_global = rawset,
    })
  end)

  teardown(function()
    _G.ngx, _G.kong = outer.ngx, outer.kong
  end)

  local function run(text)
    return setfenv(assert(loadstring(text)), env)()
  end

  it("are those that it put into package.loaded, for it alone", function()
    assert.same(1, run('package.loaded["a.module"] = { x = 1 } return require("a.module").x'))
    assert.is_nil(package.loaded["a.module"])
    assert.same(2, run('package.loaded.cjson = { encode = 2 } return require("cjson").encode'))
    assert.is_function(require("cjson").encode)
  end)

  it("are made by what it put into package.preload, once", function()
    assert.same(1, run([[
      local n = 0
      package.preload["b.module"] = function(name) n = n + 1 return { n = n, name = name } end
      require("b.module")
      return require("b.module").n]]))
    assert.is_nil(package.preload["b.module"])
  end)

  it("are not the ones that reach the gateway", function()
    for _, name in ipairs({ "ffi", "jit.util", "debug", "moongate.abi.c" }) do
      assert.has_error(function()
        run(("return require(%q)"):format(name))
      end, ("plugin \"probe\": require '%s' is not allowed for plugins from files (setting trusted_plugins)"):format(name))
    end
    assert.is_nil(run('return package.loaded.ffi'))
  end)
end)
