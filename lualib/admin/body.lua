-- Bodies of requests to the Admin API: read whole within a limit, JSON or a form, as a table.
-- Not what they mean. Invariant: every way of being wrong has an answer with a sentence.

local args = require("moongate.pdk.args")
local errors = require("moongate.admin.errors")
local exchange = require("moongate.abi.exchange")
local form = require("moongate.admin.form")
local json = require("moongate.pdk.json")
local multipart = require("moongate.pdk.multipart")
local node = require("moongate.abi.node")
local request = require("moongate.abi.request")

local _M = {}

local ENTITY_MAX_BYTES, DEPTH_MAX, FIELDS_MAX = 8 * 1024 * 1024, 64, 1000

--- The whole body, at most max bytes (nil: what the gateway holds of any body); nil and an answer.
function _M.raw(max)
  local limit = math.min(max or math.huge, node.setting("body_buffer_max_bytes"))
  local ok = (request.content_length() or 0) <= limit and exchange.read_body(limit)
  local text = ok and (exchange.body_get() or "")
  if not text or #text > limit then
    return nil, errors.message(413, "request body is larger than " .. ("%d"):format(limit) .. " bytes")
  end
  return text
end

-- Brackets outside of strings nest no deeper than DEPTH_MAX: found before a table is made.
local function is_shallow(text)
  local depth, at = 0, 1
  while true do
    local found = text:find('["%[%]{}]', at)
    local char = found and text:sub(found, found)
    if not char then
      return true
    elseif char == '"' then
      local stop = found + 1
      while true do
        stop = text:find('["\\]', stop)
        if not stop then
          return true -- no JSON: the reader will say so
        elseif text:sub(stop, stop) == '"' then
          break
        end
        stop = stop + 2
      end
      found = stop
    else
      depth = depth + ((char == "{" or char == "[") and 1 or -1)
    end
    if depth > DEPTH_MAX then
      return false
    end
    at = found + 1
  end
end

-- 1e400 and NaN are read as numbers that JSON cannot hold: they could be taken and never be written again.
local function has_only_json(value)
  if type(value) == "number" then
    return value - value == 0
  elseif type(value) == "table" then
    for _, item in pairs(value) do
      if not has_only_json(item) then
        return false
      end
    end
  end
  return true
end

--- A JSON object; nil and an answer.
function _M.decode(text)
  if not is_shallow(text) then
    return nil, errors.message(400, "Cannot parse JSON body: nested deeper than " .. DEPTH_MAX .. " levels")
  end
  local value = json.decode(text)
  if type(value) ~= "table" or (json.array_mt == getmetatable(value)) then
    return nil, errors.message(400, "Cannot parse JSON body")
  elseif not has_only_json(value) then
    return nil, errors.message(400, "Cannot parse JSON body: a number in it is too large for a double, or NaN")
  end
  return value
end

local function nested(fields)
  local value, why = form.nest(fields)
  if not value then
    return nil, errors.message(400, why)
  end
  return value, nil, true
end

-- multipart's parts by name: what has no file name is a field.
local function parts_of(text, content_type)
  local boundary = multipart.boundary(content_type)
  local fields = boundary and multipart.decode(text, boundary)
  if not fields then
    return nil, errors.message(400, "Cannot parse the multipart body")
  end
  return nested(fields)
end

--- The body as a table; true as the third result when its values are texts (form.infer). nil and an answer.
function _M.read()
  local text, answer = _M.raw(ENTITY_MAX_BYTES)
  if not text then
    return nil, answer
  end
  local content_type = request.header("Content-Type")
  if text == "" then
    return {}
  elseif content_type and content_type:lower():find("^application/json") then
    return _M.decode(text)
  elseif content_type and content_type:lower():find("^application/x%-www%-form%-urlencoded") then
    return nested((args.decode(text, FIELDS_MAX)))
  elseif content_type and content_type:lower():find("^multipart/form%-data") then
    return parts_of(text, content_type)
  end
  return nil, errors.message(415, "Unsupported Content-Type: send application/json, or a form")
end

return _M
