-- multipart/form-data (RFC 7578) <-> a table of fields. Files count as fields; what else their part's
-- head says is not kept. Pure but for new_boundary.

local node = require("moongate.abi.node")

local find, gsub, lower, match, sub = string.find, string.gsub, string.lower, string.match, string.sub
local concat, sort = table.concat, table.sort

local M = {}

--- The boundary that a Content-Type names, or nil.
function M.boundary(content_type)
  return match(content_type, '[Bb][Oo][Uu][Nn][Dd][Aa][Rr][Yy]="([^"]+)"')
    or match(content_type, '[Bb][Oo][Uu][Nn][Dd][Aa][Rr][Yy]=([^%s;,"]+)')
end

function M.new_boundary()
  return (gsub(node.uuid(), "-", ""))
end

-- The field name in a part's head, or nil.
local function name_of(head)
  for line in head:gmatch("[^\r\n]+") do
    if lower(sub(line, 1, 20)) == "content-disposition:" then
      return match(line, '[;%s]name="([^"]*)"') or match(line, "[;%s]name=([^%s;]+)")
    end
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

-- One part, between two delimiters: "\r\n" head "\r\n\r\n" content "\r\n".
local function read_part(out, part)
  local _, head_end = find(part, "\r?\n\r?\n")
  local head, content
  if head_end then
    head, content = sub(part, 1, head_end), sub(part, head_end + 1)
  else
    head, content = part, ""
  end
  local name = name_of(head)
  if name then
    append(out, name, (gsub(content, "\r?\n$", "")))
  end
end

--- Fields of a body: name -> content, or an array of contents when the name is repeated.
function M.decode(text, boundary)
  local out, mark = {}, "--" .. boundary
  local at = find(text, mark, 1, true)
  while at do
    local from = at + #mark
    if sub(text, from, from + 1) == "--" then
      break
    end
    local stop = find(text, "\n" .. mark, from, true)
    if not stop then
      break
    end
    read_part(out, sub(text, from, stop))
    at = stop + 1
  end
  return out
end

local SCALAR = { string = true, number = true, boolean = true }

local function write_part(out, boundary, name, value)
  if not SCALAR[type(value)] then
    return nil, "multipart values must be strings, numbers, booleans or arrays of these"
  end
  out[#out + 1] = "--" .. boundary .. '\r\nContent-Disposition: form-data; name="'
    .. gsub(name, '["\r\n]', { ['"'] = "%22", ["\r"] = "%0D", ["\n"] = "%0A" }) .. '"\r\n\r\n'
    .. tostring(value) .. "\r\n"
  return true
end

--- The body of a table of fields, in the order of their names; or nil and why.
function M.encode(fields, boundary)
  local names, out = {}, {}
  for name in pairs(fields) do
    if type(name) ~= "string" then
      return nil, "field names must be strings"
    end
    names[#names + 1] = name
  end
  sort(names)
  for _, name in ipairs(names) do
    local values = fields[name]
    for _, value in ipairs(type(values) == "table" and values or { values }) do
      local ok, err = write_part(out, boundary, name, value)
      if not ok then
        return nil, err
      end
    end
  end
  out[#out + 1] = "--" .. boundary .. "--\r\n"
  return concat(out)
end

return M
