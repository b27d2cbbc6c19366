-- decK's ${{ env }} and the shell notation, as text functions.

local env = require("moongate.config.env")

local VARIABLES = {
  DECK_HOST = "example.com", DECK_PORT = "8080", DECK_ON = "T", DECK_RATE = "0.5", DECK_EMPTY = "",
  DECK_PEM = "line 1\nline 2\nline 3", KEY = "secret",
}

local function getenv(name)
  return VARIABLES[name]
end

local function expand(text)
  local reports = {}
  local out, line_of = env.expand(text, getenv, function(line, column, message, cure)
    reports[#reports + 1] = { line, column, message, cure }
  end)
  return out, reports, line_of
end

describe("env.expand", function()
  local cases = {
    { 'host: ${{ env "DECK_HOST" }}', "host: example.com" },
    { 'url: http://${{ env "DECK_HOST" }}:${{env "DECK_PORT"}}/', "url: http://example.com:8080/" },
    { 'port: ${{ env "DECK_PORT" | toInt }}', "port: 8080" },
    { "port: \"${{ env \"DECK_PORT\" | toInt }}\"", "port: 8080" },
    { "port: '${{ env \"DECK_PORT\" | toInt }}'", "port: 8080" },
    { "port: '${{ env \"DECK_PORT\" }}'", "port: '8080'" },
    { 'on: ${{ env "DECK_ON" | toBool }}', "on: true" },
    { 'rate: ${{ env "DECK_RATE" | toFloat }}', "rate: 0.5" },
    { 'a: "${{ env "DECK_EMPTY" }}"', 'a: ""' },
    { '# ${{ env "DECK_MISSING" }}', '# ${{ env "DECK_MISSING" }}' },
    { '  # ${{ broken', '  # ${{ broken' },
    { "no template $HOME ${X}", "no template $HOME ${X}" },
    { 'k: |\n  ${{ env "DECK_PEM" | indent 2 }}\nz: 1', "k: |\n  line 1\n  line 2\n  line 3\nz: 1" },
  }
  for _, case in ipairs(cases) do
    it("expands " .. case[1]:gsub("\n", " "), function()
      local out, reports = expand(case[1])
      assert.same({}, reports)
      assert.equal(case[2], (out:gsub("\n$", "")))
    end)
  end

  local mistakes = {
    { 'a: ${{ env "HOME" }}', 4,
      "environment variables in the state file must be prefixed with 'DECK_', found: 'HOME'",
      "rename the variable to DECK_HOME" },
    { 'a: ${{ env "DECK_X" }}', 4, "environment variable 'DECK_X' present in state file but not set",
      "set DECK_X in the gateway's environment" },
    { "a: ${{ env }}", 4, "env needs the name of a variable", 'write ${{ env "DECK_NAME" }}' },
    { 'a: ${{ env "DECK_HOST" | toInt }}', 4, "toInt: the value is not an integer", "use digits only" },
    { 'a: ${{ env "DECK_HOST" | toBool }}', 4, "toBool: the value is not a boolean", "use true or false" },
    { 'a: ${{ env "DECK_HOST" | toFloat }}', 4, "toFloat: the value is not a number",
      "use a number such as 0.5" },
    { 'a: ${{ env "DECK_HOST" | upper }}', 4, "cannot understand '${{ env \"DECK_HOST\" | upper }}'",
      "the functions are env, toBool, toInt, toFloat and indent" },
    { 'a: ${{ env "DECK_HOST', 4, "'${{' without '}}'", "close it on the same line" },
    { 'a: ${{ env "DECK_HOST }}', 4, "cannot understand '${{ env \"DECK_HOST }}'",
      "the functions are env, toBool, toInt, toFloat and indent" },
    { 'a: ${{ env "DECK_PEM" | indent }}', 4, "indent needs a number of spaces and a value",
      'write ${{ env "DECK_NAME" | indent 8 }}' },
  }
  for _, case in ipairs(mistakes) do
    it("says: " .. case[3], function()
      local _, reports = expand("x: 1\n" .. case[1])
      assert.same({ { 2, case[2], case[3], case[4] } }, reports)
    end)
  end

  it("knows the source line after a value of several lines", function()
    local _, _, line_of = expand('a: |\n  ${{ env "DECK_PEM" | indent 2 }}\nz: 1\n')
    assert.same({ 1, 2, 2, 2, 3 }, { line_of(1), line_of(2), line_of(3), line_of(4), line_of(5) })
  end)

  it("ends for every prefix of a template", function()
    local text = 'a: "${{ env "DECK_PORT" | toInt }}" # ${{ env "DECK_HOST" | indent 4 }}'
    for last = 0, #text do
      assert.is_string((expand(text:sub(1, last))))
    end
  end)

  it("does not expand what a value brings in", function()
    VARIABLES.DECK_NESTED = '${{ env "DECK_HOST" }}'
    assert.equal('a: ${{ env "DECK_HOST" }}\n', (expand('a: ${{ env "DECK_NESTED" }}') .. "\n"):gsub("\n+$", "\n"))
    VARIABLES.DECK_NESTED = nil
  end)
end)

describe("env.expand_shell", function()
  local cases = {
    { "Bearer $KEY", "Bearer secret", { "KEY" } }, { "${KEY}x", "secretx", { "KEY" } },
    { "a$b", "a$b", {} }, { "$(headers.x)", "$(headers.x)", {} }, { "100$", "100$", {} },
  }
  for _, case in ipairs(cases) do
    it("expands " .. case[1], function()
      assert.same({ case[2], case[3] }, { env.expand_shell(case[1], getenv) })
    end)
  end

  it("names the first variable that is not set", function()
    assert.same({ nil, "NOPE" }, { env.expand_shell("$NOPE $KEY $OTHER", getenv) })
  end)
end)
