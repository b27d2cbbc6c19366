-- Parts of a multipart/form-data body (RFC 7578) as a list that transform/rules changes: parts nobody
-- names keep their bytes, file names and types included. Not a table of fields (pdk/multipart). Pure.

local List = require "moongate.transform.named_list"

local find, gsub, lower, match, sub = string.find, string.gsub, string.lower, string.match, string.sub

local ESCAPES = { ['"'] = "%22", ["\r"] = "%0D", ["\n"] = "%0A" }

local function quoted(name)
  return '"' .. gsub(name, '["\r\n]', ESCAPES) .. '"'
end

local KIND = {}

function KIND.make(name, value)
  return { name = name, raw = "Content-Disposition: form-data; name=" .. quoted(name) .. "\r\n\r\n" .. value }
end

function KIND.rename(piece, new)
  local raw = piece.raw
  local from, to = piece.from, piece.to -- of the name in it, quotes included
  local text = quoted(new)
  return { name = new, raw = sub(raw, 1, from - 1) .. text .. sub(raw, to + 1),
    from = from, to = from + #text - 1 }
end

-- The part's name, and where it stands, quotes included; nothing for a part without one.
local function name_of(raw)
  local head_end = find(raw, "\r?\n\r?\n") or #raw + 1
  local at = 1
  while at < head_end do
    local stop = find(raw, "\n", at, true) or head_end
    local line = sub(raw, at, stop)
    if find(lower(line), "^content%-disposition:") then
      local from, to, name = find(line, '[;%s]name=(%b"")')
      if not from then
        from, to, name = find(line, "[;%s]name=([^%s;]+)")
      end
      if from then
        return gsub(name, '^"(.*)"$', "%1"), at + to - #name, at + to - 1
      end
    end
    at = stop + 1
  end
end

-- The text between two delimiters, without the line breaks that belong to these.
local function read_part(text)
  local raw = gsub(match(text, "^[ \t]*\r?\n(.*)$") or text, "\r?\n$", "")
  local name, from, to = name_of(raw)
  return { name = name or false, raw = raw, from = from, to = to }
end

local _M = {}

-- The list of a body; nil, why when it is not made of parts.
function _M.read(text, boundary)
  local items, mark = {}, "--" .. boundary
  local at = find(text, mark, 1, true)
  if text ~= "" and not at then
    return nil, "the body has no boundary"
  end
  while at do
    local from = at + #mark
    if sub(text, from, from + 1) == "--" then
      return List.new(KIND, items)
    end
    at = find(text, "\n" .. mark, from, true)
    if not at then
      return nil, "the body ends within a part"
    end
    items[#items + 1] = read_part(sub(text, from, at))
    at = at + 1
  end
  return List.new(KIND, items)
end

function _M.write(list, boundary)
  local out = {}
  for i, item in ipairs(list.items) do
    out[i] = "--" .. boundary .. "\r\n" .. item.raw .. "\r\n"
  end
  out[#out + 1] = "--" .. boundary .. "--\r\n"
  return table.concat(out)
end

return _M
