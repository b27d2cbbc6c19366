-- Query and form arguments: "a=1&b&a=2" <-> { a = { "1", "2" }, b = true }.
-- Pure. An argument without "=" is true, with an empty value "".

local byte, char, find, format, gsub, sub = string.byte, string.char, string.find, string.format,
  string.gsub, string.sub
local concat, sort = table.concat, table.sort

local M = {}

local function from_hex(digits)
  return char(tonumber(digits, 16))
end

local function to_hex(c)
  return format("%%%02X", byte(c))
end

function M.unescape(text)
  if find(text, "[%%+]") then
    text = gsub(gsub(text, "+", " "), "%%(%x%x)", from_hex)
  end
  return text
end

local unescape = M.unescape

function M.escape(text)
  if find(text, "[^%w%-._~!*'()]") then
    text = gsub(text, "[^%w%-._~!*'()]", to_hex)
  end
  return text
end

local escape = M.escape

-- The next argument from `from` on: its name, value, and where to go on; nil at the end.
local function next_arg(query, from)
  while from <= #query do
    local stop = find(query, "&", from, true) or #query + 1
    local equals = find(query, "=", from, true)
    local bare = not equals or equals > stop
    local name = sub(query, from, (bare and stop or equals) - 1)
    if name ~= "" then
      return name, bare or sub(query, equals + 1, stop - 1), stop + 1, from, stop
    end
    from = stop + 1
  end
end

--- The first value of an argument: text, true, or nil when it is absent.
function M.first(query, wanted)
  local from = 1
  while true do
    local name, value, after = next_arg(query, from)
    if not name then
      return nil
    elseif name == wanted or unescape(name) == wanted then
      return value == true or unescape(value)
    end
    from = after
  end
end

local function append(out, name, value)
  local known = out[name]
  if known == nil then
    out[name] = value
  elseif type(known) == "table" then
    known[#known + 1] = value
  else
    out[name] = { known, value }
  end
end

--- All arguments, at most `max`; the second result is "truncated" when there were more.
function M.decode(query, max)
  local out, from, n = {}, 1, 0
  while true do
    local name, value, after = next_arg(query, from)
    if not name then
      return out
    elseif max and n >= max then
      return out, "truncated"
    end
    append(out, unescape(name), value == true or unescape(value))
    from, n = after, n + 1
  end
end

--- The query without the arguments of that name, the others as they were.
function M.without(query, wanted)
  local out, from = {}, 1
  while true do
    local name, _, after, start, stop = next_arg(query, from)
    if not name then
      return concat(out, "&")
    elseif unescape(name) ~= wanted then
      out[#out + 1] = sub(query, start, stop - 1)
    end
    from = after
  end
end

local TEXT = { string = true, number = true }

local function encode_one(out, name, value)
  if value == true then
    out[#out + 1] = name
  elseif value == false then
    return true
  elseif TEXT[type(value)] then
    out[#out + 1] = name .. "=" .. escape(tostring(value))
  else
    return nil, "arg values must be strings, numbers, booleans or arrays of these"
  end
  return true
end

local function encode_value(out, name, value)
  if type(value) ~= "table" then
    return encode_one(out, name, value)
  end
  for i = 1, #value do
    local ok, err = encode_one(out, name, value[i])
    if not ok then
      return nil, err
    end
  end
  return true
end

--- Text of a table of arguments in the order of their names: value, or nil and why.
-- true is written as a bare name, false is left out, an array repeats the name.
function M.encode(args)
  local names, out = {}, {}
  for name in pairs(args) do
    if type(name) ~= "string" then
      return nil, "arg keys must be strings"
    end
    names[#names + 1] = name
  end
  sort(names)
  for _, name in ipairs(names) do
    local ok, err = encode_value(out, escape(name), args[name])
    if not ok then
      return nil, err
    end
  end
  return concat(out, "&")
end

return M
