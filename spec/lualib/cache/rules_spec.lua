local rules = require "moongate.cache.rules"

describe("cache.rules", function()
  it("reads directives", function()
    assert.same({ ["max-age"] = 10, ["no-store"] = true, private = "x", ["s-maxage"] = 5, ["max-stale"] = true },
      rules.directives('Max-Age=10, no-store,private="x" ,s-maxage = "5", max-stale, ='))
    assert.same({}, rules.directives(nil))
  end)

  it("reads HTTP dates", function()
    assert.same(784111777, rules.http_time("Sun, 06 Nov 1994 08:49:37 GMT"))
    assert.same(951782400, rules.http_time("Tue, 29 Feb 2000 00:00:00 GMT"))
    assert.same(0, rules.http_time("Thu, 01 Jan 1970 00:00:00 GMT"))
    for _, text in ipairs({ "", "0", "Sun, 06 Xxx 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT" }) do
      assert.is_nil(rules.http_time(text))
    end
  end)

  it("knows how long a response lives", function()
    assert.same(5, rules.lifetime({ ["max-age"] = 10, ["s-maxage"] = 5 }, nil, 0))
    assert.same(10, rules.lifetime({ ["max-age"] = 10 }, "Sun, 06 Nov 1994 08:49:37 GMT", 0))
    assert.same(7, rules.lifetime({}, "Sun, 06 Nov 1994 08:49:37 GMT", 784111770))
    assert.same(0, rules.lifetime({}, "Sun, 06 Nov 1994 08:49:37 GMT", 784111780))
    assert.same(0, rules.lifetime({ ["max-age"] = "x" }, nil, 0))
  end)

  it("knows what is fresh for whom", function()
    for _, case in ipairs({
      { true, 300, 300, nil }, { false, 301, 300, nil },
      { true, 10, 20, {} }, { false, 21, 20, {} },
      { false, 11, 20, { ["max-age"] = 10 } }, { true, 10, 20, { ["max-age"] = 10 } },
      { false, 11, 20, { ["min-fresh"] = 10 } }, { true, 10, 20, { ["min-fresh"] = 10 } },
      { true, 25, 20, { ["max-stale"] = 5 } }, { false, 26, 20, { ["max-stale"] = 5 } },
      { true, 9999, 20, { ["max-stale"] = true } },
    }) do
      assert.same(case[1], rules.is_fresh(case[2], case[3], case[4]))
    end
  end)

  it("compares media types with their parameters", function()
    local list = { "application/json", "text/*", "text/html; charset=utf-8" }
    for text, is in pairs({ ["application/json"] = true, ["Application/JSON"] = true, ["text/css"] = true,
      ["application/json; charset=utf-8"] = false, ['text/html;charset="UTF-8"'] = true,
      ["text/html; charset=ascii"] = false, ["image/png"] = false, ["json"] = false }) do
      assert.same(is, rules.is_listed(text, list), text)
    end
    assert.is_false(rules.is_listed(nil, { "*/*" }))
    assert.is_true(rules.is_listed("a/b", { "*/*" }))
  end)

  it("makes one text of equal values, and different ones of others", function()
    assert.same("a=1:b:c=1:c=2", rules.canonical({ c = { "1", "2" }, b = true, a = "1" }))
    assert.same("b=2", rules.canonical({ a = "1", b = "2" }, { "z", "b" }))
    assert.are_not.equal(rules.canonical({ a = "1:b=2" }), rules.canonical({ a = "1", b = "2" }))
    assert.are_not.equal(rules.canonical({ a = "" }), rules.canonical({ a = true }))
  end)

  it("cuts the request line as Kong does", function()
    assert.same("GET /a", rules.request_line("GET", "/a?b=1", "1.1"))
    assert.same("GET /a HTTP/1.1", rules.request_line("GET", "/a", "1.1"))
  end)
end)
