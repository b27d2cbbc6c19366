-- Names, identifiers and references: what must be unique is, and every reference finds its entity.
-- It does not validate fields (check.lua) and does not resolve vault references (vaults.lua).
-- Invariant: an entity with errors still has its name here, so that one mistake is told once.

local json = require("moongate.util.json_encode")
local null = json.null
local uuid = require("moongate.config.uuid")

local Problems = require("moongate.config.problems")

local M = {}

local SCOPES = { "route", "service", "consumer", "consumer_group" }

local function is_key(value)
  return type(value) == "string" or type(value) == "number"
end

-- uniqueness ------------------------------------------------------------------------------------

local function report_duplicate(run, entry, field, value, first)
  local shown = run.kinds.by_name[entry.kind].definition.secret_key and field == "key" and "this value"
    or "'" .. tostring(value) .. "'"
  run.problems:at(entry, { field }, "uniqueness violation: '" .. entry.kind .. "' entity with "
    .. field .. " set to " .. shown .. " already declared at "
    .. Problems.place(first, { field }), { cure = "change or remove one of the two" })
end

--- Registers the entry's id and names, and reports those already taken.
function M.register(run, entry)
  local index = run.index[entry.kind]
  for _, field in ipairs(run.kinds.by_name[entry.kind].unique) do
    local value = entry.input[field]
    if is_key(value) then
      local seen = index[field]
      if not seen then
        seen = {}
        index[field] = seen
      end
      if seen[value] then
        report_duplicate(run, entry, field, value, seen[value])
      else
        seen[value] = entry
      end
    end
  end
end

-- references ------------------------------------------------------------------------------------

local function lookup(run, kind, value)
  local index = run.index[kind]
  local by_id, by_name = index.id or {}, index[run.kinds.by_name[kind].name_field or "id"] or {}
  if type(value) ~= "table" then
    return by_id[value] or by_name[value], tostring(value)
  end
  for _, field in ipairs({ "id", "name", "username", "custom_id" }) do
    local wanted = value[field]
    if is_key(wanted) then
      local named = index[field] or {}
      return named[wanted] or (field == "name" and by_name[wanted]) or nil, tostring(wanted)
    end
  end
  return nil, "?"
end

local function report_dangling(run, entry, keys, field, shown, kind)
  run.problems:at(entry, keys, "invalid reference '" .. field .. ": " .. shown
    .. "' (no such entry in '" .. kind .. "')", {
      cure = "declare it under " .. kind .. ", or correct the name" })
end

-- Of an entity with errors only what can be a reference counts; other shapes check.lua has reported.
local function is_reference(value)
  return is_key(value) or type(value) == "table"
    and (is_key(value.id) or is_key(value.name) or is_key(value.username) or is_key(value.custom_id))
end

-- A service's trust anchors are a list of ids.
local function resolve_ca_certificates(run, entry, ids)
  local known = run.index.ca_certificates.id or {}
  for i, id in ipairs(ids) do
    if not known[id] then
      report_dangling(run, entry, { "ca_certificates", i }, "ca_certificates", tostring(id),
        "ca_certificates")
    end
  end
end

--- Finds the entities that the entry refers to; entry.refs[field] is the other entry.
function M.resolve(run, entry)
  local fields = entry.output or entry.input
  entry.refs = {}
  for _, field in ipairs(run.kinds.by_name[entry.kind].foreign) do
    local value = fields[field.name]
    if value ~= nil and (entry.output or is_reference(value)) then
      local target, shown = entry.parent, nil
      if entry.field ~= field.name then
        target, shown = lookup(run, field.kind, value)
      end
      if not target then
        report_dangling(run, entry, { field.name }, field.name, shown, field.kind)
      end
      entry.refs[field.name] = target
    end
  end
  if entry.kind == "services" and type(fields.ca_certificates) == "table" then
    resolve_ca_certificates(run, entry, fields.ca_certificates)
  end
end

local function join_group(run, entry, keys, consumer, group)
  consumer.groups_of = consumer.groups_of or {}
  for _, known in ipairs(consumer.groups_of) do
    if known == group then
      run.problems:at(entry, keys, "the consumer is already in this group", {
        severity = "warning", cure = "remove the repetition" })
      return
    end
  end
  table.insert(consumer.groups_of, group)
end

local function resolve_members(run)
  for _, member in ipairs(run.members) do
    local target, shown = lookup(run, member.kind, member.value)
    local field = member.kind == "consumers" and "consumer" or "consumer_group"
    if not target then
      report_dangling(run, member.entry, member.keys, field, shown, member.kind)
    elseif member.kind == "consumers" then
      join_group(run, member.entry, member.keys, target, member.entry)
    else
      join_group(run, member.entry, member.keys, member.entry, target)
    end
  end
end

local function resolve_pair(run, entry)
  local found = {}
  for _, field in ipairs({ "consumer", "consumer_group" }) do
    local kind, value = field .. "s", entry.raw[field]
    if value == nil or value == null then
      run.problems:at(entry, { field }, "required field missing")
    else
      local shown
      found[field], shown = lookup(run, kind, value)
      if not found[field] then
        report_dangling(run, entry, { field }, field, shown, kind)
      end
    end
  end
  if found.consumer and found.consumer_group then
    join_group(run, entry, {}, found.consumer, found.consumer_group)
  end
end

--- Puts consumers into their groups, from all three ways of writing it.
function M.resolve_groups(run)
  resolve_members(run)
  for _, entry in ipairs(run.pairs_of_group) do
    resolve_pair(run, entry)
  end
end

-- identifiers -----------------------------------------------------------------------------------

local function ref_id(entry, field)
  local target = entry.refs[field]
  return target and target.id or ""
end

local key_of = {}

-- Scope and name; an instance_name makes no second plugin possible on the same scope.
function key_of.plugins(entry)
  local parts = { entry.output.name }
  for i, field in ipairs(SCOPES) do
    parts[i + 1] = ref_id(entry, field)
  end
  return table.concat(parts, ":")
end

function key_of.targets(entry)
  return ref_id(entry, "upstream") .. ":" .. entry.output.target
end

function key_of.acls(entry)
  return ref_id(entry, "consumer") .. ":" .. entry.output.group
end

function key_of.consumers(entry)
  return entry.output.username or "custom_id:" .. tostring(entry.output.custom_id)
end

-- Entities without a name get their id from all they say; equal ones are told apart by number.
local function content_key(entry)
  local copy = {}
  for name, value in pairs(entry.output) do
    if not entry.generated[name] then
      copy[name] = value
    end
  end
  for name, target in pairs(entry.refs) do
    copy[name] = target.id
  end
  return json.encode(copy)
end

local function unique_key(run, entry)
  local make = key_of[entry.kind]
  if make then
    return make(entry)
  end
  local key = run.kinds.by_name[entry.kind].definition.key
  return key and not entry.generated[key] and entry.output[key] or content_key(entry)
end

--- Gives the entry its id: the written one, or one derived from what makes it unique.
function M.identify(run, entry)
  if entry.output.id then
    entry.id = entry.output.id
    return
  end
  local key, used = unique_key(run, entry), run.used_keys[entry.kind]
  used[key] = (used[key] or 0) + 1
  if used[key] > 1 then
    key = key .. "#" .. used[key]
  end
  entry.id = uuid.generate(entry.kind, key, run.opts.sha1)
  entry.output.id = entry.id
end

-- uniqueness over several fields ------------------------------------------------------------------

local function scope_text(entry)
  local parts = {}
  for _, field in ipairs(SCOPES) do
    if entry.refs[field] then
      parts[#parts + 1] = field
    end
  end
  return #parts == 0 and "globally" or "on the same " .. table.concat(parts, ", ")
end

local function combination(entry)
  if entry.kind == "plugins" then
    return "plugin '" .. entry.output.name .. "' already declared " .. scope_text(entry), "name"
  elseif entry.kind == "targets" then
    return "target '" .. entry.output.target .. "' already declared in the same upstream", "target"
  elseif entry.kind == "acls" then
    return "the consumer already has the group '" .. entry.output.group .. "'", "group"
  end
end

--- Reports a second plugin of one name on one scope, a target twice in an upstream, and so on.
function M.check_combination(run, entry)
  local sentence, field = combination(entry)
  if not sentence then
    return
  end
  local key, seen = key_of[entry.kind](entry), run.combinations[entry.kind]
  if seen[key] then
    run.problems:at(entry, { field }, "uniqueness violation: " .. sentence .. ", at "
      .. Problems.place(seen[key], { field }), { cure = "remove one of the two" })
  end
  seen[key] = seen[key] or entry
end

return M
