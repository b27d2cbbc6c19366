-- Reads configuration texts into trees, and the part of them that is about the file itself:
-- _format_version, _info, _plugin_configs, _workspace ... The entities are tree.lua's.
-- Invariant: both dialects (decK and DB-less) are one language here; no switch tells them apart.

local env = require("moongate.config.env")
local null = require("cjson").null

local Problems = require("moongate.config.problems")
local Schema = require("moongate.schema")

local M = {}

local function string_field(extra)
  local field = { type = "string" }
  for key, value in pairs(extra or {}) do
    field[key] = value
  end
  return field
end

local STRINGS = { type = "array", elements = string_field() }
local ANY_MAP = { type = "map", keys = string_field(), values = { type = "any" } }

local HEAD = assert(Schema.new {
  name = "head",
  fields = {
    { _format_version = string_field { required = true, one_of = { "1.1", "2.1", "3.0" } } },
    { _transform = { type = "boolean" } },
    { _comment = string_field { len_min = 0 } },
    { _ignore = { type = "any" } },
    { _workspace = string_field() },
    { _konnect = { type = "record", fields = {
      { control_plane_name = string_field() }, { runtime_group_name = string_field() } } } },
    { _plugin_configs = { type = "map", keys = string_field(), values = ANY_MAP } },
    { _info = { type = "record", fields = {
      { select_tags = STRINGS },
      { defaults = { type = "map", keys = string_field(), values = ANY_MAP } },
      { default_lookup_tags = ANY_MAP },
      { consumer_group_policy_overrides = { type = "boolean" } },
      { skip_hash_for_basic_auth = { type = "boolean" } },
      { include_plugin_definitions = { type = "boolean" } } } } },
  },
})

M.HEAD_FIELDS = {}
for name in HEAD:each_field() do
  M.HEAD_FIELDS[name] = true
end

local ENTITY_OF_DEFAULT = {
  service = "services", route = "routes", upstream = "upstreams", target = "targets",
  consumer = "consumers", consumer_group = "consumer_groups", plugin = "plugins",
  certificate = "certificates",
}

local function same_line(line)
  return line
end

local function parse(file, source, run)
  if source.tree ~= nil then
    file.tree, file.positions = source.tree, source.positions or {}
    return
  end
  local function report(line, column, message, cure)
    run.problems:in_file(file, message, { line = line, column = column, cure = cure })
  end
  local text, line_of = env.expand(source.text, run.opts.getenv, report)
  file.line_of = line_of
  local tree, positions = run.opts.parse_yaml(text, source.file)
  if tree == nil then
    local err = positions or { message = "expected an object" }
    run.problems:in_file(file, "failed parsing declarative configuration: " .. err.message, {
      line = err.line and line_of(err.line), column = err.column, cure = err.cure })
    return
  end
  file.tree, file.positions = tree, positions or {}
end

local function head_entry(file)
  return { file = file, raw = file.tree, container = "", position = nil }
end

-- YAML reads an unquoted 3.0 as a number. The meaning is plain, so it is only worth a warning.
local function version_text(file, run)
  local version = file.tree._format_version
  if type(version) ~= "number" then
    return version
  end
  run.problems:at(file.head, { "_format_version" }, "expected a string", {
    severity = "warning", cure = "put the value in quotes" })
  return ("%.1f"):format(version)
end

local function read_head(file, run)
  local input = {}
  for name in pairs(M.HEAD_FIELDS) do
    input[name] = file.tree[name]
  end
  input._format_version = version_text(file, run)
  local head, failed = HEAD:process(input)
  for _, item in ipairs(head and {} or HEAD:flatten_errors(failed)) do
    local cure = item.path[1] == "_format_version" and 'write _format_version: "3.0"' or nil
    run.problems:at(file.head, item.path, item.message, { cure = cure })
  end
  return head or {}
end

--- Reads one source {file=, text=} or {file=, tree=, positions=} into a file of the run.
function M.read(source, index, run)
  local file = {
    name = source.file, index = index, line_of = same_line, positions = {},
    text = source.text,
  }
  parse(file, source, run)
  if file.tree == nil then
    return nil
  end
  if file.tree == null or type(file.tree) ~= "table" or file.tree[1] ~= nil then
    run.problems:in_file(file, "failed parsing declarative configuration: expected an object", {
      cure = 'start with _format_version: "3.0"' })
    return nil
  end
  file.head = head_entry(file)
  file.meta = read_head(file, run)
  return file
end

local function conflict(run, file, keys, other)
  local message = "conflicts with the value in " .. Problems.place(other.head, keys)
  run.problems:at(file.head, keys, message, {
    cure = "give the same value in both files, or remove one" })
end

local function merge_scalar(run, file, name, value, keys)
  if value == nil or value == null then
    return
  end
  local earlier = run.scalars[name]
  if earlier == nil then
    run.scalars[name] = { value = value, file = file }
  elseif earlier.value ~= value then
    conflict(run, file, keys, earlier.file)
  end
end

local function same_value(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for key, value in pairs(a) do
    if not same_value(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

local function merge_plugin_configs(run, file)
  for name in pairs(file.meta._plugin_configs or {}) do
    local raw, earlier = file.tree._plugin_configs[name], run.plugin_configs[name]
    if not earlier then
      run.plugin_configs[name] = { value = raw, file = file }
    elseif not same_value(earlier.value, raw) then
      conflict(run, file, { "_plugin_configs", name }, earlier.file)
    end
  end
end

local function merge_defaults(run, file, defaults)
  for name, values in pairs(defaults) do
    local kind = ENTITY_OF_DEFAULT[name]
    if not kind then
      run.problems:at(file.head, { "_info", "defaults", name }, "unknown field", {
        cure = "defaults exist for service, route, upstream and target" })
    else
      run.defaults[kind] = run.defaults[kind] or {}
      for key in pairs(values) do
        local raw, earlier = file.tree._info.defaults[name][key], run.defaults[kind][key]
        if not earlier then
          run.defaults[kind][key] = { value = raw, file = file }
        elseif not same_value(earlier.value, raw) then
          conflict(run, file, { "_info", "defaults", name, key }, earlier.file)
        end
      end
    end
  end
end

--- Adds what the file says about the whole to the run: tags, defaults, shared plugin configs.
function M.merge_head(file, run)
  local meta = file.meta
  merge_scalar(run, file, "_workspace", meta._workspace, { "_workspace" })
  merge_scalar(run, file, "_transform", meta._transform, { "_transform" })
  merge_scalar(run, file, "_format_version", meta._format_version, { "_format_version" })
  for key, value in pairs(meta._konnect or {}) do
    merge_scalar(run, file, "_konnect." .. key, value, { "_konnect", key })
  end
  local info = meta._info or {}
  if info.skip_hash_for_basic_auth then
    run.passwords_are_hashed = true
  end
  for _, tag in ipairs(info.select_tags or {}) do
    run.select_tags[#run.select_tags + 1] = tag
  end
  merge_defaults(run, file, info.defaults or {})
  merge_plugin_configs(run, file)
end

return M
