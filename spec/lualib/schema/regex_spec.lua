-- The scan that stands in for PCRE2 when no compiler was handed in.

local regex = require("moongate.schema.regex")

describe("regex check", function()
  local valid = {
    "", "a", "^/v\\d+/(?<id>[^/]+)$", "[]a]", "[^]a]", "[[:alpha:]]+", "a{2,3}?", "a*+", "(?:a|b)*",
    "\\(", "\\Q(*\\E", "a{", "(?#note()b", "(?=x)y", "x|y", "[a-z(]", "a{2}{3}",
  }
  for _, pattern in ipairs(valid) do
    it("accepts " .. pattern, function()
      assert.is_true(regex.check(pattern))
    end)
  end

  local invalid = {
    { "a(b", "missing closing parenthesis" }, { "a)b", "unmatched closing parenthesis" },
    { "[a", "missing terminating ] for character class" }, { "*a", "quantifier does not follow a repeatable item" },
    { "a|+", "quantifier does not follow a repeatable item" }, { "a\\", "\\ at end of pattern" },
    { "(?<n>", "missing closing parenthesis" },
  }
  for _, case in ipairs(invalid) do
    it("refuses " .. case[1], function()
      local ok, err = regex.check(case[1])
      assert.is_nil(ok)
      assert.equal(case[2], err)
    end)
  end

  it("ends for every prefix of a long pattern", function()
    local pattern = "^/v\\d+/(?<id>[^/[:alpha:]]+)\\Q(\\E{2,3}(?#c)a*+$"
    for last = 0, #pattern do
      local ok, err = regex.check(pattern:sub(1, last))
      assert.is_true(ok or type(err) == "string")
    end
  end)

  it("uses the compiler it was given", function()
    regex.use_compiler(function() return nil, "from the compiler" end)
    local _, err = regex.check("a")
    regex.use_compiler(nil)
    assert.equal("from the compiler", err)
    assert.is_true(regex.check("a"))
  end)
end)
