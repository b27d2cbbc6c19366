-- Cuts JSON text into the raw text of its members or elements, one level at a time, so that values
-- nobody here understands (tool schemas, big integers) travel on byte for byte.
-- It is NOT a decoder: values stay text (json_text.unquote reads strings).
-- Invariant: strict RFC 8259 grammar; what passes here is accepted by any JSON parser.

local json_text = require "moongate.ai.json_text"

local byte, sub = string.byte, string.sub

local DEPTH_MAX = 200
local NULL = "null"

local _M = {}

local skip_value

-- Everything below walks bytes: such loops are compiled, while patterns are not. Positions beyond
-- the end give the byte nil, which equals nothing.

local function skip_space(text, pos)
  local code = byte(text, pos)
  while code == 32 or code == 10 or code == 13 or code == 9 do
    pos = pos + 1
    code = byte(text, pos)
  end
  return pos
end

local function is_digit(code)
  return code and code >= 48 and code <= 57
end

local function is_hex(code)
  return code and (code >= 48 and code <= 57 or code >= 65 and code <= 70
    or code >= 97 and code <= 102)
end

local ESCAPED = {} -- bytes that may follow a backslash, beside u
for code in ('"\\/bfnrt'):gmatch(".") do
  ESCAPED[byte(code)] = true
end

-- `at` is at a backslash; returns the position after the escape, or nil.
local function skip_escape(text, at)
  local code = byte(text, at + 1)
  if code == 117 then
    return is_hex(byte(text, at + 2)) and is_hex(byte(text, at + 3))
      and is_hex(byte(text, at + 4)) and is_hex(byte(text, at + 5)) and at + 6 or nil
  end
  return code and ESCAPED[code] and at + 2 or nil
end

-- `pos` is at the opening quote; returns the position after the closing one, or nil, position.
local function skip_string(text, pos)
  local at = pos + 1
  while true do
    local code = byte(text, at)
    if code == 34 then
      return at + 1
    elseif code == 92 then
      local after = skip_escape(text, at)
      if not after then
        return nil, at
      end
      at = after
    elseif not code or code < 32 then
      return nil, at
    else
      at = at + 1
    end
  end
end

-- At least one digit from `pos` on; the position after the last one, or nil, position.
local function skip_digits(text, pos)
  if not is_digit(byte(text, pos)) then
    return nil, pos
  end
  repeat
    pos = pos + 1
  until not is_digit(byte(text, pos))
  return pos
end

local function skip_number(text, pos)
  local after = pos
  if byte(text, after) == 45 then
    after = after + 1
  end
  if byte(text, after) == 48 then
    after = after + 1
  else
    local digits, bad = skip_digits(text, after)
    if not digits then
      return nil, bad
    end
    after = digits
  end
  if byte(text, after) == 46 then
    local digits, bad = skip_digits(text, after + 1)
    if not digits then
      return nil, bad
    end
    after = digits
  end
  local code = byte(text, after)
  if code == 101 or code == 69 then
    code = byte(text, after + 1)
    local signed = code == 43 or code == 45
    return skip_digits(text, signed and after + 2 or after + 1)
  end
  return after
end

-- Walks an object or array whose bracket is at `pos`. visit(out, text, key_from, key_to, from, to)
-- is called for each value when given; `to` is the last byte.
local function skip_container(text, pos, depth, visit, out)
  if depth > DEPTH_MAX then
    return nil, pos
  end
  local is_object = byte(text, pos) == 123
  local closing = is_object and 125 or 93
  pos = skip_space(text, pos + 1)
  if byte(text, pos) == closing then
    return pos + 1
  end
  while true do
    local key_from, key_to, after, bad
    if is_object then
      if byte(text, pos) ~= 34 then
        return nil, pos
      end
      after, bad = skip_string(text, pos)
      if not after then
        return nil, bad
      end
      key_from, key_to = pos, after - 1
      pos = skip_space(text, after)
      if byte(text, pos) ~= 58 then
        return nil, pos
      end
      pos = skip_space(text, pos + 1)
    end
    after, bad = skip_value(text, pos, depth + 1)
    if not after then
      return nil, bad
    end
    if visit and not visit(out, text, key_from, key_to, pos, after - 1) then
      return nil, key_from or pos
    end
    pos = skip_space(text, after)
    local code = byte(text, pos)
    if code == closing then
      return pos + 1
    elseif code ~= 44 then
      return nil, pos
    end
    pos = skip_space(text, pos + 1)
  end
end

local function skip_word(text, pos, word)
  if sub(text, pos, pos + #word - 1) == word then
    return pos + #word
  end
  return nil, pos
end

function skip_value(text, pos, depth)
  local code = byte(text, pos)
  if code == 34 then
    return skip_string(text, pos)
  elseif code == 123 or code == 91 then
    return skip_container(text, pos, depth)
  elseif code == 116 then
    return skip_word(text, pos, "true")
  elseif code == 102 then
    return skip_word(text, pos, "false")
  elseif code == 110 then
    return skip_word(text, pos, NULL)
  end
  return skip_number(text, pos)
end

local function visit_member(out, text, key_from, key_to, from, to)
  local key = json_text.unquote(sub(text, key_from, key_to))
  if not key or out.at[key] then
    return false
  end
  out.names[#out.names + 1] = key
  out.at[key] = sub(text, from, to)
  return true
end

local function visit_element(out, text, _, _, from, to)
  out[#out + 1] = sub(text, from, to)
  return true
end

local function cut(text, bracket, what, visit, out)
  local pos = text and skip_space(text, 1)
  if not pos or byte(text, pos) ~= bracket then
    return nil, "not " .. what
  end
  local after, bad = skip_container(text, pos, 1, visit, out)
  if not after then
    return nil, "invalid json at byte " .. bad
  end
  after = skip_space(text, after)
  if after <= #text then
    return nil, "invalid json at byte " .. after
  end
  return out
end

-- The members of an object: a table name -> raw text, and the list of names in their order.
-- nil, error when the text is no object (or nil), is not JSON, or holds a name twice.
function _M.object(text)
  local out, err = cut(text, 123, "an object", visit_member, { names = {}, at = {} })
  if not out then
    return nil, err
  end
  return out.at, out.names
end

-- The elements of an array as a list of raw texts, or nil, error.
function _M.array(text)
  return cut(text, 91, "an array", visit_element, {})
end

-- Raw member of a raw object, or nil when anything on the way is missing, null or of another type.
function _M.path(raw, ...)
  for i = 1, select("#", ...) do
    local members = raw and byte(raw, 1) == 123 and _M.object(raw)
    raw = members and members[(select(i, ...))]
  end
  return raw ~= NULL and raw or nil
end

-- "string", "number", "boolean", "null", "object" or "array"; nil for nil.
function _M.type(raw)
  local code = raw and byte(raw, 1)
  if not code then
    return nil
  elseif code == 34 then
    return "string"
  elseif code == 123 then
    return "object"
  elseif code == 91 then
    return "array"
  elseif code == 116 or code == 102 then
    return "boolean"
  elseif code == 110 then
    return "null"
  end
  return "number"
end

return _M
