-- Values from the environment in configuration text: decK's `${{ env "DECK_X" }}` before parsing,
-- and `$NAME` / `${NAME}` in parsed strings. It knows neither YAML nor entities.
-- Invariant: a line keeps its number; where a value brings line breaks, line_of() undoes them.

local M = {}

local OPEN = "${{"
local CLOSE = "}}"
local NAME_PREFIX = "DECK_"

local TRUTH = {
  ["1"] = "true", t = "true", T = "true", TRUE = "true", ["true"] = "true", True = "true",
  ["0"] = "false", f = "false", F = "false", FALSE = "false", ["false"] = "false", False = "false",
}

local functions = {}

function functions.env(args, getenv)
  local name = args[1]
  if not name then
    return nil, "env needs the name of a variable", 'write ${{ env "DECK_NAME" }}'
  end
  if name:sub(1, #NAME_PREFIX) ~= NAME_PREFIX then
    return nil, "environment variables in the state file must be prefixed with 'DECK_', found: '"
      .. name .. "'", "rename the variable to DECK_" .. name
  end
  local value = getenv(name)
  if not value then
    return nil, "environment variable '" .. name .. "' present in state file but not set",
      "set " .. name .. " in the gateway's environment"
  end
  return value
end

function functions.toBool(args)
  local value = TRUTH[args[1]]
  if not value then
    return nil, "toBool: the value is not a boolean", "use true or false"
  end
  return value
end

function functions.toInt(args)
  if not (args[1] or ""):find("^[+-]?%d+$") then
    return nil, "toInt: the value is not an integer", "use digits only"
  end
  return (args[1]:gsub("^%+", ""))
end

function functions.toFloat(args)
  if not tonumber(args[1]) or args[1]:find("^0[xX]") then
    return nil, "toFloat: the value is not a number", "use a number such as 0.5"
  end
  return args[1]
end

function functions.indent(args)
  local count = tonumber(args[1])
  if not count or not args[2] then
    return nil, "indent needs a number of spaces and a value",
      'write ${{ env "DECK_NAME" | indent 8 }}'
  end
  return (args[2]:gsub("\n", "\n" .. (" "):rep(count)))
end

local function split_words(text)
  local words, at = {}, 1
  while true do
    at = text:find("%S", at)
    if not at then
      return words
    end
    local quote = text:sub(at, at)
    local first, last, word
    if quote == '"' or quote == "`" or quote == "'" then
      first, last, word = text:find("([^" .. quote .. "]*)" .. quote, at + 1)
      if first ~= at + 1 then
        return nil
      end
    else
      first, last, word = text:find("([^%s\"`]+)", at)
      if first ~= at then
        return nil
      end
    end
    words[#words + 1] = word
    at = last + 1
  end
end

local function evaluate(expression, getenv)
  local value, typed
  for stage in (expression .. "|"):gmatch("([^|]*)|") do
    local words = split_words(stage)
    local name = words and table.remove(words, 1)
    if not name or not functions[name] then
      return nil, "cannot understand '${{" .. expression .. "}}'",
        "the functions are env, toBool, toInt, toFloat and indent"
    end
    words[#words + 1] = value
    local result, err, cure = functions[name](words, getenv)
    if not result then
      return nil, err, cure
    end
    value, typed = result, name:find("^to") ~= nil
  end
  return value, typed
end

-- A converted value in quotes of its own loses them: "${{ env "DECK_N" | toInt }}" is a number.
local function strip_quotes(before, after)
  local quote = before:match("([\"'])$")
  if quote and after:sub(1, 1) == quote then
    return before:sub(1, -2), after:sub(2)
  end
  return before, after
end

local function expand_line(line, state)
  local from = 1
  while true do
    local first = line:find(OPEN, from, true)
    if not first then
      return line
    end
    local close = line:find(CLOSE, first, true)
    if not close then
      state.report(state.source_line, first, "'${{' without '}}'", "close it on the same line")
      return line
    end
    local value, typed, cure = evaluate(line:sub(first + #OPEN, close - 1), state.getenv)
    if not value then
      state.report(state.source_line, first, typed, cure)
      value = ""
    end
    local before, after = line:sub(1, first - 1), line:sub(close + #CLOSE)
    if typed == true then
      before, after = strip_quotes(before, after)
    end
    line = before .. value .. after
    from = #before + #value + 1
  end
end

--- Replaces every `${{ ... }}` outside of comment lines. report(line, column, message, cure) is
--- called for each mistake. Returns the text, and a function that gives a line of that text its
--- number in the source.
function M.expand(text, getenv, report)
  if not text:find(OPEN, 1, true) then
    return text, function(line) return line end
  end
  local out, origin, state = {}, {}, { getenv = getenv, report = report, source_line = 0 }
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    state.source_line = state.source_line + 1
    local expanded = line:find("^%s*#") and line or expand_line(line, state)
    out[#out + 1] = expanded
    local _, breaks = expanded:gsub("\n", "")
    for _ = 0, breaks do
      origin[#origin + 1] = state.source_line
    end
  end
  return table.concat(out, "\n"), function(line) return origin[line] or state.source_line end
end

--- Replaces `$NAME` and `${NAME}` (capitals, digits, underscores). Returns the new string and the
--- names found; or nil and the first name that is not set.
function M.expand_shell(value, getenv)
  local names, missing = {}, nil
  local function replace(name)
    names[#names + 1] = name
    local found = getenv(name)
    if not found then
      missing = missing or name
    end
    return found or ""
  end
  local out = value:gsub("%${([%a_][%w_]*)}", "\0{%1}"):gsub("%$([%u_][%u%d_]*)", replace)
  out = out:gsub("%z{([%w_]*)}", replace)
  if missing then
    return nil, missing
  end
  return out, names
end

return M
