-- Entities as the Admin API shows them: every field of the schema is there, null when it is unset, as clients that compare with a
-- schema's defaults expect. Not validation (schema/): what comes in is valid.
-- Invariant: no field is shown that the schema does not have.

local json = require("moongate.util.json_encode")
local process = require("moongate.schema.process")

local null = json.null

local _M = {}

local fill_record

local function fill(field, value)
  if value == nil then
    return null
  elseif type(value) ~= "table" then
    return value
  elseif field.type == "record" then
    return fill_record(process.compile(field), value)
  elseif field.type == "array" or field.type == "set" then
    local out = json.array()
    for i = 1, #value do
      out[i] = field.elements and fill(field.elements, value[i]) or value[i]
    end
    return out
  end
  return value
end

function fill_record(record, value)
  local out = {}
  for i = 1, #record.names do
    local name = record.names[i]
    out[name] = fill(record.by_name[name], value[name])
  end
  return out
end

--- A copy of one field's value.
_M.value = fill

--- A copy of the entity with all fields of its schema.
function _M.whole(schema, value)
  return fill_record(schema.record, value)
end

return _M
