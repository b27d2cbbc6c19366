local views = require "moongate.snippets.views"

describe("snippets.views", function()
  it("lets a module be read and called, not changed", function()
    local module = { get = function() return 1 end, inner = { get = function() return 2 end } }
    local seen = views.view(module)
    assert.same({ 1, 2 }, { seen.get(), seen.inner.get() })
    assert.equal(seen.inner, seen.inner)
    for _, change in ipairs({ function() seen.get = 1 end, function() seen.inner.get = 1 end, function() seen.new = 1 end }) do
      assert.has_error(change)
    end
    assert.same({ "function", "nil" }, { type(module.inner.get), type(module.new) })
    assert.is_false(getmetatable(seen))
  end)

  it("lets what is the request's be written", function()
    local ngx = { header = {}, ctx = {}, var = {}, arg = {}, log = print }
    local seen = views.of_ngx(ngx)
    seen.header.A, seen.var.b, seen.arg[1], seen.status = "1", "2", "3", 404
    seen.ctx.c = "4"
    assert.same({ "1", "2", "3", 404, "4" }, { ngx.header.A, ngx.var.b, ngx.arg[1], ngx.status, ngx.ctx.c })
    assert.has_error(function() seen.log = 1 end, "cannot set 'log' here")
    local kong = { ctx = { shared = {} }, request = {} }
    views.of_kong(kong).ctx.shared.x = 1
    assert.same(1, kong.ctx.shared.x)
  end)

  it("requires pure modules only, as views", function()
    assert.same('{"a":1}', views.require("cjson").encode({ a = 1 }))
    assert.has_error(function() views.require("cjson").encode = print end)
    for _, name in ipairs({ "ffi", "os", "io", "moongate.abi.c", "socket", "package" }) do
      assert.has_error(function() views.require(name) end, "require '" .. name .. "' not allowed within sandbox")
    end
  end)
end)
