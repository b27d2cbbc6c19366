-- Walks the trees of all files and lists every entity with its place and its parent.
-- It validates nothing but shapes: fields are the schemas' work, names are links.lua's.
-- Invariant: run.entries[kind] is ordered by file, line and column, whatever pairs() returned.

local null = require("cjson").null

local cures = require("moongate.config.cures")
local entities = require("moongate.config.entities")
local sources = require("moongate.config.sources")

local M = {}

local add_list

local function position_of(file, container, key)
  local known = file.positions[container]
  return known and known[key]
end

local function warn_unsupported(run, entry, keys)
  run.problems:at(entry, keys, "not supported by this gateway; ignored", {
    severity = "warning", cure = "remove it if nothing depends on it" })
end

-- A member is written as a name or as a record with a name of some kind.
local function add_members(run, entry, list, name, owner)
  if type(list) ~= "table" or (next(list) ~= nil and list[1] == nil) then
    run.problems:at(entry, { name }, "expected an array")
    return
  end
  for i, value in ipairs(list) do
    run.members[#run.members + 1] = {
      entry = entry, keys = { name, i }, value = value, kind = owner == "consumer"
        and "consumer_groups" or "consumers",
    }
  end
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

local function add_children(run, entry, children)
  if not next(children) then
    return
  end
  for _, kind in ipairs(sorted_keys(children)) do
    local value = entry.raw[kind]
    if value ~= nil and entities.UNSUPPORTED[kind] then
      warn_unsupported(run, entry, { kind })
    elseif value ~= nil and value ~= null then
      add_list(run, entry.file, kind, value, {
        parent = entry, field = children[kind], container = kind, holder = entry.raw })
    end
  end
end

local function copy_input(run, entry, children)
  local input = {}
  for key, value in pairs(entry.raw) do
    if children[key] then
      input[key] = nil -- an entity of its own: add_children
    elseif entry.kind == "consumers" and key == "groups" and value ~= null then
      add_members(run, entry, value, key, "consumer")
    elseif entry.kind == "consumer_groups" and key == "consumers" and value ~= null then
      add_members(run, entry, value, key, "group")
    elseif (entry.kind == "services" or entry.kind == "routes") and key == "filter_chains" then
      warn_unsupported(run, entry, { key })
    else
      input[key] = value
    end
  end
  add_children(run, entry, children)
  return input
end

local function set_parent(run, entry, input, field)
  if not field then
    return
  end
  if input[field] ~= nil and input[field] ~= null then
    run.problems:at(entry, { field }, "already set by the place where the entity stands", {
      cure = "remove '" .. field .. "', or move the entity to the top level" })
  end
  input[field] = { parent = true }
end

local function add_entry(run, file, kind, raw, place)
  local entry = {
    kind = kind, file = file, raw = raw, parent = place.parent, field = place.field,
    container = place.container, index = place.index, position = place.position,
    order = run.entry_count + 1,
  }
  run.entry_count = entry.order
  if kind == "snis" and type(raw) == "string" then
    entry.raw = { name = raw }
  elseif type(raw) ~= "table" or raw[1] ~= nil then
    entry.raw = {}
    run.problems:at(entry, {}, "expected a record")
    return
  end
  entry.input = copy_input(run, entry, run.kinds.by_name[kind].children)
  set_parent(run, entry, entry.input, place.field)
  table.insert(run.entries[kind], entry)
end

function add_list(run, file, kind, list, place)
  if type(list) ~= "table" or (next(list) ~= nil and list[1] == nil) then
    local owner = place.parent or file.head
    run.problems:at(owner, { place.container }, "expected an array")
    return
  end
  local fallback = position_of(file, place.holder, place.container)
  for i, raw in ipairs(list) do
    add_entry(run, file, kind, raw, {
      parent = place.parent, field = place.field, container = place.container, index = i,
      position = position_of(file, list, i) or fallback,
    })
  end
end

-- DB-less writes memberships of consumer groups as a list of its own.
local function add_group_consumers(run, file, list)
  for i, raw in ipairs(type(list) == "table" and list or {}) do
    local entry = {
      kind = "consumer_group_consumers", file = file, raw = type(raw) == "table" and raw or {},
      container = "consumer_group_consumers", index = i, position = position_of(file, list, i),
    }
    run.pairs_of_group[#run.pairs_of_group + 1] = entry
  end
end

local function check_other_key(run, file, key)
  if sources.HEAD_FIELDS[key] or key == "$schema" then
    return
  elseif entities.UNSUPPORTED[key] then
    warn_unsupported(run, file.head, { key })
    return
  end
  local near = cures.closest(tostring(key), run.kinds.order)
  run.problems:at(file.head, { key }, "unknown field", {
    cure = near and "did you mean '" .. near .. "'?" or "remove it, or correct its spelling" })
end

--- Lists every entity of one file in run.entries.
function M.collect(file, run)
  for _, key in ipairs(sorted_keys(file.tree)) do
    local value, place = file.tree[key], { container = key, holder = file.tree }
    if value == null and (run.entries[key] or entities.UNSUPPORTED[key]) then
      place.container = key -- an empty section
    elseif key == "consumer_group_consumers" then
      add_group_consumers(run, file, value)
    elseif key == "consumer_group_plugins" then
      add_list(run, file, "plugins", value, place)
    elseif run.entries[key] then
      add_list(run, file, key, value, place)
    else
      check_other_key(run, file, key)
    end
  end
end

local function earlier(a, b)
  if a.file.index ~= b.file.index then
    return a.file.index < b.file.index
  end
  local p, q = a.position, b.position
  if p and q and p[1] ~= q[1] then
    return p[1] < q[1]
  elseif p and q and p[2] ~= q[2] then
    return p[2] < q[2]
  end
  return a.order < b.order
end

function M.sort(run)
  for _, kind in ipairs(run.kinds.order) do
    table.sort(run.entries[kind], earlier)
  end
end

return M
