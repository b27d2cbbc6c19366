local query = require "moongate.util.query"

describe("util.query", function()
  it("finds the first value of a name and how many there are", function()
    for _, case in ipairs({
      { "a=1", "a", "1", 1 }, { "a=1&b=2&a=3", "a", "1", 2 }, { "a", "a", true, 1 },
      { "a=", "a", "", 1 }, { "b=a", "a", nil, 0 }, { "", "a", nil, 0 }, { nil, "a", nil, 0 },
      { "a=b=c", "a", "b=c", 1 }, { "A=1", "a", nil, 0 }, { "aa=1", "a", nil, 0 },
      { "&&a=1&", "a", "1", 1 }, { "a=x%20y+z", "a", "x y z", 1 },
    }) do
      local value, n = query.value(case[1], case[2])
      assert.same({ case[3], case[4] }, { value, n }, tostring(case[1]))
    end
  end)

  it("compares names decoded", function()
    assert.same({ "secret", 1 }, { query.value("api%6Bey=secret", "apikey") })
    assert.same({ "x", 1 }, { query.value("my+key=x", "my key") })
    assert.same("b=%6B", (query.without("ap%69key=1&b=%6B&apikey=2", "apikey")))
  end)

  it("leaves what it keeps as it was written", function()
    assert.same({ "b=%7e&c", true }, { query.without("a=1&b=%7e&c&a", "a") })
    assert.same({ "b=%7e&&c", false }, { query.without("b=%7e&&c", "a") })
    assert.same({ "", true }, { query.without("a=1", "a") })
  end)

  it("adds an encoded pair at the end", function()
    assert.same("k=v%26w%20%2B", query.with(nil, "k", "v&w +"))
    assert.same("k=v", query.with("", "k", "v"))
    assert.same("a=1&k=v", query.with("a=1", "k", "v"))
  end)

  it("does not trip over broken escapes", function()
    assert.same({ "%zz%4", 1 }, { query.value("a=%zz%4", "a") })
  end)
end)
