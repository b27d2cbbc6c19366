local origins = require "moongate.cors.origins"

-- PCRE as far as these patterns need it: "^(?:...)$" around a Lua pattern with "\." for a dot.
local function matches(subject, pattern)
  local inner = pattern:match("^%^%(%?:(.*)%)%$$")
  return subject:find("^" .. inner:gsub("%-", "%%-"):gsub("\\%.", "%%.") .. "$") ~= nil
end

local function allows(list, origin)
  return origins.allows(origins.compile(list), origin, matches)
end

describe("origins", function()
  it("are normalised", function()
    for text, want in pairs({
      ["https://Example.com"] = { "https://example.com:443", "example.com" },
      ["http://example.com:8080/"] = { "http://example.com:8080", "example.com" },
      ["http://[::1]:80"] = { "http://[::1]:80", "[::1]" }, ["http://[::1]"] = { "http://[::1]:80", "[::1]" },
      ["app://thing"] = { "app://thing", "thing" }, ["null"] = { "null" }, ["example.com"] = { "example.com" },
    }) do
      assert.same(want, { origins.normalise(text) })
    end
  end)

  it("are all, one that is always named, or some", function()
    assert.is_true(origins.compile(nil).all)
    assert.is_true(origins.compile({}).all)
    assert.is_true(origins.compile({ "https://a", "*" }).all)
    assert.same("https://A.example", origins.compile({ "https://A.example" }).fixed)
    assert.same("a.example", origins.compile({ "a.example" }).fixed)
    for _, list in ipairs({ { "https://a", "https://b" }, { ".*\\.example" } }) do
      local compiled = origins.compile(list)
      assert.same({ false, nil }, { compiled.all, compiled.fixed })
    end
  end)

  it("are compared by scheme, host and port", function()
    local list = { "https://a.example", "http://b.example:8080" }
    for origin, want in pairs({
      ["https://a.example"] = true, ["https://A.Example:443"] = true, ["https://a.example:444"] = false,
      ["http://a.example"] = false, ["http://b.example:8080"] = true, ["http://b.example"] = false,
      ["https://xa.example"] = false, ["https://a.example.evil"] = false, ["null"] = false, [""] = false,
    }) do
      assert.same(want, allows(list, origin), origin)
    end
  end)

  it("are compared by host where no colon asks for more", function()
    local list = { "a.example", "b.example" }
    for origin, want in pairs({ ["https://a.example"] = true, ["http://b.example:8080"] = true,
      ["https://c.a.example"] = false, ["a.example"] = false, ["null"] = false }) do
      assert.same(want, allows(list, origin), origin)
    end
  end)

  it("fit patterns as a whole", function()
    for origin, want in pairs({ ["https://x.example"] = true, ["https://x.example:443"] = true,
      ["https://x.example:8443"] = false, ["https://x.example.evil"] = false, ["http://x.example"] = false,
      ["https://evil/https://x.example"] = false }) do
      assert.same(want, allows({ "https://[%w]+\\.example" }, origin), origin)
    end
    for origin, want in pairs({ ["https://x.example"] = true, ["http://x.example:81"] = true,
      ["https://x.example.evil"] = false, ["null"] = false }) do
      assert.same(want, allows({ ".*\\.example" }, origin), origin)
    end
    assert.is_true(allows({ "https://[%w]+\\.example:443" }, "https://x.example"))
  end)
end)
