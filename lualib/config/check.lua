-- Runs each entity through its schema; a plugin through the common part joined with its own.
-- Names, references and uniqueness are links.lua's.
-- Invariant: entry.output exists exactly when the entity has no schema error.

local cures = require("moongate.config.cures")
local entities = require("moongate.config.entities")
local generated = require("moongate.config.generated")
local json = require("moongate.util.json_encode")

local Schema = require("moongate.schema")

local M = {}

-- plugin schemas --------------------------------------------------------------------------------

local function append(target, items)
  for _, item in ipairs(items or {}) do
    target[#target + 1] = item
  end
end

local function join_fields(definition)
  local own, fields, seen = {}, {}, {}
  for _, item in ipairs(definition.fields or {}) do
    local name, field = next(item)
    own[name] = field
  end
  for _, item in ipairs(entities.plugins.fields) do
    local name, field = next(item)
    seen[name] = true
    fields[#fields + 1] = { [name] = own[name] and Schema.merge_field(field, own[name]) or field }
  end
  for _, item in ipairs(definition.fields or {}) do
    local name = next(item)
    if not seen[name] then
      fields[#fields + 1] = item
    end
  end
  return fields
end

local function require_config(fields)
  for i, item in ipairs(fields) do
    local field = item.config
    if field and field.type == "record" then
      fields[i] = { config = Schema.merge_field(field, { required = true }) }
    end
  end
end

--- The schema of plugin entities named definition.name, or nil and what is wrong with it.
function M.plugin_schema(definition)
  if type(definition) ~= "table" or type(definition.fields) ~= "table" then
    return nil, "error in schema definition: no 'fields' table"
  end
  for i, item in ipairs(definition.fields) do
    if type(item) ~= "table" or type((next(item))) ~= "string" then
      return nil, "fields[" .. i .. "] must be a table of one field name"
    end
  end
  local joined = { name = definition.name or "plugin", fields = join_fields(definition),
    entity_checks = {}, transformations = definition.transformations,
    shorthand_fields = definition.shorthand_fields }
  require_config(joined.fields)
  append(joined.entity_checks, definition.entity_checks)
  return Schema.new(Schema.with_whole_records(joined))
end

local function find_plugin_schema(run, name)
  local found = run.plugin_schemas[name]
  if found == nil then
    local definition, err = run.opts.plugin_schema(name)
    found = { err = run.kinds.broken[name] }
    if definition and not found.err then
      found.schema, found.err = M.plugin_schema(definition)
    else
      found.err = found.err or err
    end
    run.plugin_schemas[name] = found
  end
  return found.schema, found.err
end

local function report_plugin(run, entry, name, err)
  if err then
    run.problems:at(entry, { "name" }, "plugin '" .. name .. "' cannot be used: " .. err, {
      cure = "correct plugins/" .. name .. "/schema.lua" })
    return
  end
  local near = run.opts.plugin_names and cures.closest(name, run.opts.plugin_names())
  run.problems:at(entry, { "name" }, "plugin '" .. name .. "' not enabled; add the '" .. name
    .. "' plugin to the 'plugins' directory", {
      cure = near and "did you mean '" .. near .. "'?"
        or "it needs plugins/" .. name .. "/handler.lua and schema.lua" })
end

local function schema_of(run, entry)
  if entry.kind ~= "plugins" then
    return run.kinds.by_name[entry.kind].schema
  end
  local name = entry.input.name
  if type(name) ~= "string" or name == "" then
    return run.kinds.by_name.plugins.schema
  end
  local schema, err = find_plugin_schema(run, name)
  if not schema then
    report_plugin(run, entry, name, err)
  end
  return schema
end

-- errors ----------------------------------------------------------------------------------------

local function fields_at(schema, keys)
  local record, field = schema.record, nil
  for i = 1, #keys - 1 do
    if type(keys[i]) == "number" then
      field = field and field.elements
    else
      field = record and record.by_name[keys[i]]
    end
    record = field and field.type == "record" and Schema.compile(field) or nil
  end
  return record
end

local function allowed_names(run, entry, schema, keys)
  local record = fields_at(schema, keys)
  if not record then
    return nil
  end
  local names = {}
  append(names, record.names)
  for _, shorthand in ipairs(record.shorthands) do
    names[#names + 1] = shorthand.name
  end
  if #keys == 1 then
    for child in pairs(run.kinds.by_name[entry.kind].children) do
      names[#names + 1] = child
    end
    table.sort(names)
  end
  return names
end

local CONDITIONAL = "^failed conditional validation given value of field "

-- One mistake, one message: what follows from another error is left out.
local function without_echoes(failed, list)
  local kept = {}
  for _, item in ipairs(list) do
    local echo = item.message:find(CONDITIONAL)
      or (failed.url and item.path[1] == "host" and not item.path[2])
    if not echo then
      kept[#kept + 1] = item
    end
  end
  return #kept > 0 and kept or list
end

local function report(run, entry, schema, failed)
  for _, item in ipairs(without_echoes(failed, schema:flatten_errors(failed))) do
    local fields = item.message == "unknown field" and allowed_names(run, entry, schema, item.path)
    run.problems:at(entry, item.path, item.message, { fields = fields or nil })
  end
end

local function add_select_tags(run, output)
  if #run.select_tags == 0 then
    return
  end
  local tags, seen = Schema.deep_copy(output.tags) or json.array(), {}
  for _, tag in ipairs(tags) do
    seen[tag] = true
  end
  for _, tag in ipairs(run.select_tags) do
    if not seen[tag] then
      seen[tag] = true
      tags[#tags + 1] = tag
    end
  end
  output.tags = tags
end

-- Fields that Kong acts on and this gateway does not: told, because silence would mislead.
local function warn_without_effect(run, entry)
  local output = entry.output
  if entry.kind == "plugins" and output.condition then
    run.problems:at(entry, { "condition" }, "not supported; the plugin always runs", {
      severity = "warning", cure = "attach the plugin to a narrower route instead" })
  end
  for i, protocol in ipairs(entry.kind == "routes" and output.protocols or {}) do
    if entities.STREAM_PROTOCOLS[protocol] then
      run.problems:at(entry, { "protocols", i }, "protocol '" .. protocol .. "' is not served", {
        severity = "warning",
        cure = "the gateway serves HTTP; remove the route if nobody needs it" })
    end
  end
end

-- schema:process; what a plugin's own validators raise is a mistake at its entry.
local function process(run, entry, schema)
  if entry.kind ~= "plugins" then
    return schema:process(entry.input, { transform = run.transform })
  end
  local ok, output, failed, warnings = pcall(schema.process, schema, entry.input, { transform = run.transform })
  if not ok then
    return nil, { config = "the plugin's schema failed: " .. tostring(output) }
  end
  return output, failed, warnings
end

-- One deprecated field is told once, at its first place, however many entities use it.
local function warn_deprecated(run, entry, warnings)
  for _, warning in ipairs(warnings) do
    local names = {}
    for i, key in ipairs(warning.path) do
      names[i] = type(key) == "number" and "*" or tostring(key)
    end
    local owner = entry.kind == "plugins" and entry.input.name or entry.kind
    local name = tostring(owner) .. ":" .. table.concat(names, ".")
    if not run.deprecated[name] then
      run.deprecated[name] = true
      run.problems:at(entry, warning.path, "deprecated: " .. tostring(warning.message), { severity = "warning" })
    end
  end
end

-- Who needs the value will not have it: it is another one after the next load, and on each node.
local function warn_generated(run, entry)
  for name in pairs(entry.generated) do
    if name ~= "secret" or entry.input.rsa_public_key == nil then
      run.problems:at(entry, { name }, "not given: a random one is made at each load", {
        severity = "warning", cure = "write it down, if it is to be used" })
    end
  end
end

--- Validates one prepared entry.
function M.run(run, entry)
  local schema = schema_of(run, entry)
  if not schema then
    return
  end
  entry.generated = generated.fill(schema.definition.fields, entry.input, run.opts.random_bytes)
  local output, failed, warnings = process(run, entry, schema)
  if not output then
    report(run, entry, schema, failed)
  else
    entry.output, entry.schema, warnings = output, schema, failed
    add_select_tags(run, output)
    warn_generated(run, entry)
    warn_without_effect(run, entry)
  end
  warn_deprecated(run, entry, warnings or {})
end

return M
