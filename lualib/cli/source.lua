-- Lua source as text to search in: comments and strings blanked, lines kept. For plugin_check.lua.
-- Not a parser: what is syntax is left to loadfile.

local _M = {}

local function blank(text)
  return (text:gsub("[^\n]", " "))
end

-- Where a long bracket that opens at `at` ends, or nil when none opens there.
local function long_end(text, at)
  local level = text:match("^%[(=*)%[", at)
  if not level then
    return nil
  end
  local _, last = text:find("]" .. level .. "]", at, true)
  return last or #text
end

local function string_end(text, at)
  local quote, i = text:sub(at, at), at + 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == "\\" then
      i = i + 1
    elseif c == quote or c == "\n" then
      return i
    end
    i = i + 1
  end
  return #text
end

-- The source without comments, and without comments and strings: two texts of the same length.
function _M.strip(text)
  local code, bare, i = {}, {}, 1
  local function add(last, is_comment, is_string)
    local piece = text:sub(i, last)
    code[#code + 1] = is_comment and blank(piece) or piece
    bare[#bare + 1] = (is_comment or is_string) and blank(piece) or piece
    i = last + 1
  end
  while i <= #text do
    local at = text:find("[%-%[\"']", i)
    if not at then
      add(#text)
    elseif at > i then
      add(at - 1)
    elseif text:sub(i, i + 1) == "--" then
      add(long_end(text, i + 2) or (text:find("\n", i, true) or #text + 1) - 1, true)
    elseif text:find("^[\"']", i) then
      add(string_end(text, i), false, true)
    else
      add(long_end(text, i) or i, false, long_end(text, i) ~= nil)
    end
  end
  return table.concat(code), table.concat(bare)
end

-- fn(line number, captures...) for each match of a Lua pattern.
function _M.each(text, pattern, fn)
  local line, from = 1, 1
  local i = 1
  while true do
    local found = { text:find(pattern, i) }
    if not found[1] then
      return
    end
    local _, breaks = text:sub(from, found[1] - 1):gsub("\n", "")
    line, from = line + breaks, found[1]
    fn(line, unpack(found, 3))
    i = math.max(found[2], found[1]) + 1
  end
end

return _M
