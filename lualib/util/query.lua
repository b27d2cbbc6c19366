-- A raw query string, pair by pair: which values a name has, the text without a name, the text with
-- one more pair. What stays keeps its bytes and its order.
-- Not a table of arguments (the PDK has that). Pure.
-- Invariant: names are compared decoded, so that "api%6Bey=x" is no way round a rule about "apikey".

local byte, find, gmatch, gsub = string.byte, string.find, string.gmatch, string.gsub
local char, format, match, sub = string.char, string.format, string.match, string.sub
local concat = table.concat

local _M = {}

local function from_hex(hex)
  return char(tonumber(hex, 16))
end

-- Text of a name or a value: "+" is a space, %XX a byte.
function _M.decode(text)
  if not find(text, "[+%%]") then
    return text
  end
  return (gsub(gsub(text, "+", " "), "%%(%x%x)", from_hex))
end

local function to_hex(c)
  return format("%%%02X", byte(c))
end

-- Everything but unreserved characters (RFC 3986, 2.3) as %XX.
function _M.encode(text)
  return (gsub(text, "[^%w._~-]", to_hex))
end

local function name_of(pair)
  return _M.decode(match(pair, "^[^=]*"))
end

-- Can the name stand in the query at all? A cheap look before the careful one.
local function may_hold(query, name)
  return query ~= nil and query ~= "" and (find(query, name, 1, true) or find(query, "[+%%]")) ~= nil
end

-- The first value of a name (decoded; true when the pair has no "=") and how many pairs bear it.
-- nil, 0 when there is none.
function _M.value(query, name)
  if not may_hold(query, name) then
    return nil, 0
  end
  local first, n = nil, 0
  for pair in gmatch(query, "[^&]+") do
    if name_of(pair) == name then
      n = n + 1
      if n == 1 then
        local from = find(pair, "=", 1, true)
        first = from and _M.decode(sub(pair, from + 1)) or true
      end
    end
  end
  return first, n
end

-- The query without the pairs of that name ("" when none is left), and whether there were any.
function _M.without(query, name)
  if not may_hold(query, name) then
    return query, false
  end
  local kept, found = {}, false
  for pair in gmatch(query, "[^&]+") do
    if name_of(pair) == name then
      found = true
    else
      kept[#kept + 1] = pair
    end
  end
  return found and concat(kept, "&") or query, found
end

-- The query with name=value, encoded, behind what it holds.
function _M.with(query, name, value)
  local pair = _M.encode(name) .. "=" .. _M.encode(value)
  return query and query ~= "" and query .. "&" .. pair or pair
end

return _M
