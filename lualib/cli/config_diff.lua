-- `moongate config diff OLD NEW`: what differs between two normalised documents (their files are the arguments),
-- entity by entity. Exit code 0 when nothing does, else 2.
-- Invariant: values of credentials, and of fields that are named like secrets, are not printed.

local file = require "moongate.util.file"
local json = require "moongate.util.json_encode"
local cjson = require "moongate.cjson"

-- Members of a document that are no entities.
local FACTS = { format = true }
local SECRET = { credentials = true, certificates = true }

local function read(path)
  return cjson.decode((assert(file.read(path))))
end

local SECRET_WORDS = { "secret", "password", "token", "key", "header_value", "param_value", "credential" }

local function is_secret(kind, path)
  local field = path:match("([^.]*)$")
  for _, word in ipairs(SECRET_WORDS) do
    if field:find(word, 1, true) then
      return true
    end
  end
  return SECRET[kind] or false
end

-- What an entity is called: kind, and its name, or whatever else tells it from others.
local function title(kind, entity)
  local data = type(entity.data) == "table" and entity.data or entity
  local name = data.instance_name or data.name or data.username or data.id or entity.kind
  if name == json.null then
    name = data.name or data.username or data.id
  end
  return kind .. " " .. tostring(name)
end

-- Entities of one document by a key that is the same in both: ids are made from names.
local function by_key(document)
  local out = {}
  for kind, list in pairs(document) do
    if type(list) == "table" and not FACTS[kind] then
      for i, entity in ipairs(list) do
        if type(entity) == "table" then
          local id = entity.id or (type(entity.data) == "table" and entity.data.id) or i
          out[kind .. "\0" .. tostring(id)] = { kind = kind, entity = entity }
        end
      end
    end
  end
  return out
end

local function sorted_keys(...)
  local keys, seen = {}, {}
  for _, map in ipairs({ ... }) do
    for key in pairs(map) do
      if not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  return keys
end

local function shown(value)
  return value == nil and "(absent)" or json.encode(value)
end

-- Lines "path: old -> new" of what differs below two values.
local function compare(path, a, b, out)
  if type(a) == "table" and type(b) == "table" and not json.is_array(a) and not json.is_array(b) then
    for _, key in ipairs(sorted_keys(a, b)) do
      compare(path == "" and tostring(key) or path .. "." .. tostring(key), a[key], b[key], out)
    end
  elseif shown(a) ~= shown(b) then
    out[#out + 1] = { path = path, before = shown(a), after = shown(b) }
  end
end

-- An entity refers to others by their place in the document: "the service 'x'" is what people compare.
local function resolve(document)
  local LISTS = { service = "services", route = "routes", consumer = "consumers", upstream = "upstreams",
    consumer_group = "consumer_groups", certificate = "certificates" }
  for _, list in pairs(document) do
    for _, entity in ipairs(type(list) == "table" and list or {}) do
      for field, kind in pairs(LISTS) do
        local index = type(entity) == "table" and entity[field]
        local target = type(index) == "number" and document[kind] and document[kind][index]
        if target then
          entity[field] = title(field, target)
        end
      end
    end
  end
  return document
end

local function print_change(before, after)
  local kind = (after or before).kind
  local name = title(kind, (after or before).entity)
  if not before or not after then
    io.stdout:write(after and "+ " or "- ", name, "\n")
    return 1
  end
  local differences = {}
  compare("", before.entity, after.entity, differences)
  if #differences > 0 then
    io.stdout:write("~ ", name, "\n")
  end
  for _, d in ipairs(differences) do
    io.stdout:write("    ", d.path, is_secret(kind, d.path) and " changed" or (": " .. d.before .. " -> " .. d.after), "\n")
  end
  return #differences
end

return function(_, args)
  local before, after = by_key(resolve(read(args[1]))), by_key(resolve(read(args[2])))
  local changes = 0
  for _, key in ipairs(sorted_keys(before, after)) do
    changes = changes + print_change(before[key], after[key])
  end
  return changes > 0 and 2 or 0
end
