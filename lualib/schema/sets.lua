-- Sets of a checked configuration: where they are, and how they come to answer set[member], as Kong's do.
-- Finding needs the schema (the loader has it), making them does not (workers have only the paths).
-- Invariant: a set stays the list it was for ipairs, # and JSON.

local process = require("moongate.schema.process")

local M = {}

local function add_paths(definition, value, path, out)
  for name, field in pairs(process.compile(definition).by_name) do
    local item = value[name]
    local at = path == "" and name or path .. "." .. name
    if type(item) == "table" and field.type == "set" and item[1] ~= nil then
      out[#out + 1] = at
    elseif type(item) == "table" and field.type == "record" then
      add_paths(field, item, at, out)
    end
  end
  return out
end

--- Dotted paths, sorted, of the sets that have members in a checked value of a record field. Sets inside lists and maps
--- stay lists.
function M.paths(field, value)
  local out = add_paths(field, value, "", {})
  table.sort(out)
  return out
end

local function make_set(list)
  local members = {}
  for _, member in ipairs(list) do
    members[member] = true
  end
  setmetatable(list, { __index = members })
end

--- Makes the lists at these paths of `value` sets.
function M.make(value, paths)
  for _, path in ipairs(paths) do
    make_set(process.get_path(value, process.split(path)))
  end
end

return M
