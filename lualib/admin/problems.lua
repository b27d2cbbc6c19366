-- Problems of a posted configuration as Kong's POST /config answers them: nested by entity, and flat for controllers.
-- Not the finding of problems (config/).

local errors = require("moongate.admin.errors")
local json = require("moongate.util.json_encode")
local kinds = require("moongate.admin.kinds")

local null = json.null

local _M = {}

local NAMES = { "name", "username", "instance_name", "prefix", "target", "key", "custom_id" }

-- Keys from the root of the file to an entry, {"services", 1, "routes", 2}.
local function place(entry)
  local keys = entry.parent and place(entry.parent) or {}
  if entry.container ~= "" then
    keys[#keys + 1] = entry.container
    keys[#keys + 1] = entry.index
  end
  return keys
end

-- A message over a whole entity stands beside its fields, in a list under "@entity".
local function put(out, keys, message)
  local at = out
  for i = 1, #keys - 1 do
    if type(at[keys[i]]) ~= "table" then
      at[keys[i]] = {}
    end
    at = at[keys[i]]
  end
  local last = keys[#keys]
  if type(at[last]) == "table" then
    local list = at[last]["@entity"] or json.array()
    list[#list + 1] = message
    at[last]["@entity"] = list
  else
    at[last] = message
  end
end

-- Lists with errors at some places only have null at the others.
local function as_lists(value)
  if type(value) ~= "table" or json.is_array(value) and getmetatable(value) then
    return value
  end
  local most = 0
  for key, item in pairs(value) do
    value[key] = as_lists(item)
    if type(key) == "number" then
      most = math.max(most, key)
    end
  end
  if most == 0 then
    return value
  end
  local out = json.array()
  for i = 1, most do
    out[i] = value[i] == nil and null or value[i]
  end
  return out
end

local function is_error(problem)
  return problem.severity == "error"
end

local function fields_of(list)
  local out = {}
  for _, problem in ipairs(list) do
    if is_error(problem) and not problem.entry then
      out.error = out.error or problem.message
    elseif is_error(problem) then
      local keys = place(problem.entry)
      local entity = #problem.keys == 0
      for _, key in ipairs(problem.keys) do
        keys[#keys + 1] = key
      end
      if entity then
        keys[#keys + 1] = "@entity"
        keys[#keys + 1] = 1
      end
      put(out, keys, problem.message)
    end
  end
  return as_lists(out)
end

local function name_of(raw)
  for _, field in ipairs(NAMES) do
    if type(raw[field]) == "string" then
      return raw[field]
    end
  end
end

-- What the file says of the entity itself, without the entities inside it.
local function own_fields(entry)
  local out = {}
  for key, value in pairs(entry.raw) do
    if not kinds.by_kind[key] then
      out[key] = value
    end
  end
  return out
end

local function flat_entity(entry)
  local raw = entry.raw
  local out = { entity_type = kinds.singular(entry.kind), entity = own_fields(entry), errors = json.array() }
  out.entity_id = type(raw.id) == "string" and raw.id or nil
  out.entity_name = name_of(raw)
  out.entity_tags = type(raw.tags) == "table" and json.array(raw.tags) or nil
  return out
end

--- {entity_type, entity_id, entity_name, entity_tags, entity, errors = {{type =, field =, message =}}} of each entity with errors.
function _M.flatten(list)
  local out, by_entry = json.array(), {}
  for _, problem in ipairs(list) do
    local entry = is_error(problem) and problem.entry
    if entry and entry.kind then
      local flat = by_entry[entry]
      if not flat then
        flat = flat_entity(entry)
        by_entry[entry], out[#out + 1] = flat, flat
      end
      local path = {}
      for i, key in ipairs(problem.keys) do
        path[i] = tostring(key)
      end
      flat.errors[#flat.errors + 1] = { type = path[1] and "field" or "entity", field = path[1] and table.concat(path, ".") or nil,
        message = problem.message }
    end
  end
  return out
end

--- The answer to a configuration with these problems.
function _M.answer(list, flatten)
  local fields = fields_of(list)
  local answer = errors.make("declarative_config", "declarative config is invalid: " .. errors.show(fields), fields)
  answer.body.flattened_errors = flatten and _M.flatten(list) or nil
  return answer
end

return _M
