-- JSON for the PDK's tables: what is read can be written again without [] becoming {}.
-- Not for bodies that only pass by: those stay text (abi/exchange).
-- Invariant: every array of a decoded value carries util/json_encode's array metatable.

local cjson_safe = require("moongate.cjson.safe")
local json_encode = require("moongate.util.json_encode")

local find, sub = string.find, string.sub
local concat = table.concat
local array_mt = json_encode.array_mt

local M = { encode = json_encode.encode, array_mt = array_mt, null = json_encode.null }

-- Stands for the missing element of an empty array while the reader works, which forgets the kind
-- of an empty table. Another one in each process, so that no peer sends it.
local MARK = "moongate:empty-array:" .. tostring({}):gsub("%W", "")

-- After the string that begins at `from`.
local function skip_string(text, from)
  local at = from + 1
  while true do
    at = find(text, '["\\]', at)
    if not at then
      return #text + 1
    elseif sub(text, at, at) == '"' then
      return at + 1
    end
    at = at + 2
  end
end

-- The text with the mark inside every empty array.
local function mark_empty(text)
  local out, done, at = {}, 1, 1
  while true do
    at = find(text, '["[]', at)
    if not at then
      out[#out + 1] = sub(text, done)
      return concat(out)
    elseif sub(text, at, at) == '"' then
      at = skip_string(text, at)
    else
      local _, stop = find(text, "^%s*%]", at + 1)
      if stop then
        out[#out + 1] = sub(text, done, at) .. '"' .. MARK .. '"]'
        done = stop + 1
      end
      at = (stop or at) + 1
    end
  end
end

local function restore(value)
  if value[1] ~= nil then
    setmetatable(value, array_mt)
    if value[1] == MARK then
      value[1] = nil
      return value
    end
  end
  for _, member in pairs(value) do
    if type(member) == "table" then
      restore(member)
    end
  end
  return value
end

--- The value of a JSON text, or nil and why.
function M.decode(text)
  if find(text, "%[%s*%]") then
    text = mark_empty(text)
  end
  local value, err = cjson_safe.decode(text)
  if type(value) == "table" then
    return restore(value)
  end
  return value, err
end

return M
