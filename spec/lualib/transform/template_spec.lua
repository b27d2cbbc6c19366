local template = require "moongate.transform.template"

local SCOPE = { headers = { a = "A" }, query_params = { q = "Q", b = true }, uri_captures = { "one", n = "named" },
  shared = { t = { x = 1 } } }

local function render(text)
  return template.render(assert(template.compile(text)), SCOPE)
end

describe("transform.template", function()
  it("leaves text without templates alone", function()
    assert.same("$5 (a)", template.compile("$5 (a)"))
    assert.same("$5 (a)", render("$5 (a)"))
  end)

  it("renders expressions over the request", function()
    assert.same("Bearer A!", render("Bearer $(headers.a)!"))
    assert.same("one/named/Q/true/1", render(
      "$(uri_captures[1])/$(uri_captures['n'])/$(query_params.q)/$(query_params.b)/$(shared.t.x)"))
    assert.same("none", render("$(headers.z or 'none')"))
    assert.same("x", render("x$(headers.z)"))
    assert.same("AA2", render("$(string.rep(headers.a, 2))$(#'()')"))
    assert.same("$(x)", render("$('$(x)')"))
  end)

  it("says what is no expression", function()
    for _, text in ipairs({ "$(", "a $(1 +)", "$()", "$(return 1)" }) do
      local value, why = template.compile(text)
      assert.is_nil(value, text)
      assert.is_string(why)
    end
  end)

  it("keeps expressions inside", function()
    for _, text in ipairs({ "$(io.open('/x'))", "$(require('os'))", "$(os.execute('x'))",
      "$((function() headers.a = 1 end)())", "$(_G.x)" }) do
      assert.is_false((pcall(render, text)), text)
    end
    assert.same("A", render("$(headers.a)"))
  end)
end)
