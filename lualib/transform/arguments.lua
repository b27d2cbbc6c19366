-- Arguments of a query or an urlencoded form as a list that transform/rules changes. Pure.

local query = require "moongate.util.query"
local List = require "moongate.transform.named_list"

local find, gmatch, sub = string.find, string.gmatch, string.sub
local decode, encode = query.decode, query.encode

local KIND = {}

function KIND.make(name, value)
  return { name = name, raw = encode(name) .. "=" .. encode(value) }
end

function KIND.rename(piece, new)
  local from = find(piece.raw, "=", 1, true)
  return { name = new, raw = encode(new) .. (from and sub(piece.raw, from) or "") }
end

local _M = {}

-- The list of a raw query (nil: none).
function _M.read(text)
  local items = {}
  for raw in gmatch(text or "", "[^&]+") do
    local from = find(raw, "=", 1, true)
    items[#items + 1] = { name = decode(from and sub(raw, 1, from - 1) or raw), raw = raw }
  end
  return List.new(KIND, items)
end

function _M.write(list)
  local out = {}
  for i, item in ipairs(list.items) do
    out[i] = item.raw
  end
  return table.concat(out, "&")
end

return _M
