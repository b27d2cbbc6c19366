-- Cuts JSON text into the raw text of its members or elements, one level at a time, so that values
-- nobody here understands (tool schemas, big integers) travel on byte for byte.
-- It is NOT a decoder: values stay text (json_text.unquote reads strings).
-- Invariant: strict RFC 8259 grammar; what passes here is accepted by any JSON parser.

local json_text = require "moongate.ai.json_text"

local byte, find, match, sub = string.byte, string.find, string.match, string.sub

local DEPTH_MAX = 200
local NULL = "null"

local _M = {}

local skip_value

local function skip_space(text, pos)
  return match(text, "^[ \t\r\n]*()", pos)
end

-- `pos` is at the opening quote; returns the position after the closing one, or nil, position.
local function skip_string(text, pos)
  local from = pos + 1
  while true do
    local at = find(text, '["\\%c]', from)
    if not at then
      return nil, #text + 1
    end
    local code = byte(text, at)
    if code == 34 then
      return at + 1
    elseif code == 92 then
      from = match(text, '^["\\/bfnrt]()', at + 1) or match(text, "^u%x%x%x%x()", at + 1)
      if not from then
        return nil, at
      end
    elseif code == 127 then
      from = at + 1
    else
      return nil, at
    end
  end
end

local function skip_number(text, pos)
  local after = match(text, "^%-?0()", pos) or match(text, "^%-?[1-9]%d*()", pos)
  if not after then
    return nil, pos
  end
  if byte(text, after) == 46 then
    local fraction = match(text, "^%.%d+()", after)
    if not fraction then
      return nil, after
    end
    after = fraction
  end
  if find(text, "^[eE]", after) then
    local exponent = match(text, "^[eE][+-]?%d+()", after)
    if not exponent then
      return nil, after
    end
    after = exponent
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

function skip_value(text, pos, depth)
  local code = byte(text, pos)
  if code == 34 then
    return skip_string(text, pos)
  elseif code == 123 or code == 91 then
    return skip_container(text, pos, depth)
  elseif code == 116 then
    return match(text, "^true()", pos), pos
  elseif code == 102 then
    return match(text, "^false()", pos), pos
  elseif code == 110 then
    return match(text, "^null()", pos), pos
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
  local pos = skip_space(text, 1)
  if byte(text, pos) ~= bracket then
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
-- nil, error when the text is no object, is not JSON, or holds a name twice.
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
