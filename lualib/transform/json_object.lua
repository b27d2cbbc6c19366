-- Top-level members of a JSON object as a list that transform/rules changes: what nobody names keeps
-- its bytes, however deep or exact its numbers are. Values given are JSON text.
-- Not a validator of what is inside members: that passes as it came. Pure.

local json_text = require "moongate.ai.json_text"
local List = require "moongate.transform.named_list"

local find, lower, match, sub = string.find, string.lower, string.match, string.sub

local KIND = {}

function KIND.make(name, raw)
  return { name = name, raw = raw }
end

function KIND.rename(piece, new)
  return { name = new, raw = piece.raw }
end

-- A member that is no array becomes one of two.
function KIND.join(piece, raw)
  local inner = match(piece.raw, "^%[(.*)%]$")
  if not inner then
    return { name = piece.name, raw = "[" .. piece.raw .. "," .. raw .. "]" }
  end
  return { name = piece.name, raw = "[" .. (find(inner, "%S") and inner .. "," or "") .. raw .. "]" }
end

-- After the string that begins at `from`, or nil.
local function skip_string(text, from)
  local at = from + 1
  while true do
    at = find(text, '["\\]', at)
    if not at then
      return nil
    elseif sub(text, at, at) == '"' then
      return at + 1
    end
    at = at + 2
  end
end

-- After the array or object that begins at `from`, or nil.
local function skip_nested(text, from)
  local depth, at = 0, from
  while true do
    at = find(text, '["%[%]{}]', at)
    if not at then
      return nil
    end
    local char = sub(text, at, at)
    if char == '"' then
      at = skip_string(text, at)
      if not at then
        return nil
      end
    else
      depth = depth + ((char == "[" or char == "{") and 1 or -1)
      at = at + 1
      if depth == 0 then
        return at
      end
    end
  end
end

local function skip_value(text, from)
  local char = sub(text, from, from)
  if char == '"' then
    return skip_string(text, from)
  elseif char == "{" or char == "[" then
    return skip_nested(text, from)
  end
  local _, last = find(text, "^[%w+.-]+", from)
  return last and last + 1
end

-- One member from `at`: the piece and where it ends; nil when there is none.
local function read_member(text, at)
  local name_end = sub(text, at, at) == '"' and skip_string(text, at)
  local from = name_end and match(text, "^%s*:%s*()", name_end)
  local stop = from and skip_value(text, from)
  local name = stop and json_text.unquote(sub(text, at, name_end - 1))
  if name then
    return { name = name, raw = sub(text, from, stop - 1) }, stop
  end
end

local _M = {}

-- Does a Content-Type name one JSON value (not lines of them)?
function _M.is_named_by(content_type)
  local mime = content_type and lower(match(content_type, "^%s*([^;%s]*)"))
  return mime ~= nil and (mime == "application/json" or find(mime, "^application/.*%+json$") ~= nil)
end

-- The list of an object's text; nil, why.
function _M.read(text)
  local at = match(text, "^%s*{%s*()")
  if not at then
    return nil, "not a JSON object"
  end
  local items = {}
  local after = match(text, "^}%s*()$", at)
  while not after do
    local item, stop = read_member(text, at)
    if not item then
      return nil, "not a JSON object, at byte " .. at
    end
    items[#items + 1] = item
    after = match(text, "^%s*}%s*()$", stop)
    at = after or match(text, "^%s*,%s*()", stop)
    if not at then
      return nil, "not a JSON object, at byte " .. stop
    end
  end
  return List.new(KIND, items)
end

function _M.write(list)
  local flat = {}
  for i, item in ipairs(list.items) do
    flat[2 * i - 1], flat[2 * i] = item.name, item.raw
  end
  return json_text.object(flat)
end

return _M
