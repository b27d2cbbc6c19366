-- The Admin API's answers for what goes wrong, with Kong's codes, names and statuses. Nothing here decides what is wrong.

local json = require("moongate.util.json_encode")

local _M = {}

local KINDS = {
  invalid_primary_key = { 1, "invalid primary key", 400 },
  schema_violation = { 2, "schema violation", 400 },
  primary_key_violation = { 3, "primary key violation", 400 },
  foreign_key_violation = { 4, "foreign key violation", 400 },
  unique_violation = { 5, "unique constraint violation", 409 },
  not_found = { 6, "not found", 404 },
  invalid_offset = { 7, "invalid offset", 400 },
  invalid_size = { 9, "invalid size", 400 },
  invalid_options = { 11, "invalid options", 400 },
  operation_unsupported = { 12, "operation unsupported", 405 },
  foreign_keys_unresolved = { 13, "foreign keys unresolved", 400 },
  declarative_config = { 14, "invalid declarative configuration", 400 },
  invalid_search_query = { 20, "invalid search query", 400 },
}

-- A table as Kong's messages show it: {name="x",route=null}.
local function show(value)
  if value == json.null then
    return "null"
  elseif type(value) == "string" then
    return '"' .. value .. '"'
  elseif type(value) ~= "table" then
    return tostring(value)
  end
  local parts = {}
  if json.is_array(value) then
    for i = 1, #value do
      parts[i] = show(value[i])
    end
  else
    local keys = {}
    for key in pairs(value) do
      keys[#keys + 1] = key
    end
    table.sort(keys)
    for i, key in ipairs(keys) do
      parts[i] = (key:find("^[%a_][%w_]*$") and key or '["' .. key .. '"]') .. "=" .. show(value[key])
    end
  end
  return "{" .. table.concat(parts, ",") .. "}"
end
_M.show = show

--- An answer {status =, body =} of a kind above. fields: what the error is about, by field.
function _M.make(kind, message, fields)
  local row = KINDS[kind]
  return { status = row[3], body = {
    code = row[1], name = row[2], message = message, fields = fields } }
end

--- One of Kong's answers that are a sentence only.
function _M.message(status, message)
  return { status = status, body = { message = message } }
end

function _M.not_found()
  return _M.message(404, "Not found")
end

-- Errors over the whole entity are a list under "@entity"; all others nest by field.
local function as_fields(failed)
  local out = {}
  for key, item in pairs(failed) do
    if key == "@entity" then
      out[key] = json.array(type(item) == "table" and item or { item })
    else
      out[type(key) == "number" and tostring(key) or key] = type(item) == "table" and as_fields(item) or item
    end
  end
  return out
end

--- schema: what failed; failed: its errors by field.
function _M.schema_violation(schema, failed)
  return _M.make("schema_violation", schema:errors_to_string(failed), as_fields(failed))
end

function _M.unique(fields)
  return _M.make("unique_violation", "UNIQUE violation detected on '" .. show(fields) .. "'", fields)
end

function _M.foreign(field, key, kind)
  return _M.make("foreign_key_violation", "the foreign key '" .. show(key) .. "' does not reference an existing '"
    .. kind .. "' entity.", { [field] = key })
end

function _M.referenced(kind, by)
  return _M.make("foreign_key_violation", "an existing '" .. by .. "' entity references this '" .. kind .. "' entity",
    { ["@referenced_by"] = by })
end

local VERBS = { POST = "create", PUT = "create or update", PATCH = "update", DELETE = "remove" }

--- A write where nothing can be written. by: the field that named the entity, when it was not its id.
function _M.read_only(method, kind, by)
  return _M.make("operation_unsupported", "cannot " .. VERBS[method] .. " '" .. kind .. "' entities "
    .. (by and "by '" .. by .. "' " or "") .. "when not using a database")
end

return _M
