-- What happens to an entity before its schema sees it: shared defaults and plugin configs are
-- filled in, old path syntax is made new, `$NAME` in secrets is replaced from the environment.
-- Invariant: values written at the entity itself win over shared ones.

local env = require("moongate.config.env")
local null = require("cjson").null

local Schema = require("moongate.schema")

local M = {}

-- Shell notation is an extension for the fields in which people write keys of AI providers.
local SHELL_FIELDS = { header_value = true, param_value = true }

local function with_file(position, file)
  return position and { position[1], position[2], file = file }
end

local function is_map(value)
  return type(value) == "table" and value[1] == nil
end

-- Copies what `target` lacks from `shared`, positions included, so that mistakes are shown there.
local function fill(target, target_positions, shared, source_file, source_positions)
  for key, value in pairs(shared) do
    local mine = target[key]
    if mine == nil then
      target[key] = Schema.deep_copy(value)
      target_positions[key] = with_file(source_positions[key], source_file)
    elseif is_map(mine) and is_map(value) then
      local inner = {}
      for name, item in pairs(mine) do
        inner[name] = item
      end
      target[key] = inner
      local nested = source_file.positions[value] or {}
      fill(inner, {}, value, source_file, nested)
    end
  end
end

local function apply_defaults(run, entry)
  for key, shared in pairs(run.defaults[entry.kind] or {}) do
    if entry.input[key] == nil and not (entry.kind == "services" and entry.raw.url
        and (key == "host" or key == "port" or key == "protocol" or key == "path")) then
      entry.input[key] = Schema.deep_copy(shared.value)
    elseif is_map(shared.value) and is_map(entry.input[key]) then
      local holder = { [key] = entry.input[key] }
      fill(holder, {}, { [key] = shared.value }, shared.file, {})
      entry.input[key] = holder[key]
    end
  end
end

local function copy_with_positions(file, map)
  local copy, positions = {}, {}
  for key, value in pairs(map) do
    copy[key] = value
  end
  for key, position in pairs(file.positions[map] or {}) do
    positions[key] = position
  end
  file.positions[copy] = positions
  return copy, positions
end

local function apply_shared_config(run, entry)
  local name = entry.input._config
  if name == nil then
    return
  end
  entry.input._config = nil
  local shared = run.plugin_configs[name]
  if not shared then
    local message = "no entry '" .. tostring(name) .. "' in '_plugin_configs'"
    run.problems:at(entry, { "_config" }, message, {
      cure = "declare it under _plugin_configs, or correct the name" })
    return
  end
  local own = entry.raw.config
  if type(own) ~= "table" then
    own = {}
  end
  local config, positions = copy_with_positions(entry.file, own)
  fill(config, positions, shared.value, shared.file, shared.file.positions[shared.value] or {})
  local raw = {}
  for key, value in pairs(entry.raw) do
    raw[key] = value
  end
  entry.file.positions[raw] = entry.file.positions[entry.raw]
  raw.config, entry.input.config = config, config
  entry.raw = raw
end

-- Up to format 2.1 a path with regex characters was a regex without saying so.
local function upgrade_paths(entry)
  local version, paths = entry.file.meta._format_version, entry.input.paths
  if version == "3.0" or type(paths) ~= "table" then
    return
  end
  local upgraded = {}
  for i, path in ipairs(paths) do
    local plain = type(path) ~= "string" or path:find("^[%w%.%-_~/%%]*$")
    upgraded[i] = plain and path or "~" .. path
  end
  entry.input.paths = upgraded
end

local function vault_name(variable)
  return variable:lower():gsub("_", "-")
end

local function expand_value(run, entry, keys, value)
  if not value:find("$", 1, true) or Schema.is_reference(value) then
    return value
  end
  local out, names = env.expand_shell(value, run.opts.getenv)
  if not out then
    run.problems:at(entry, keys, "environment variable '" .. names .. "' is not set: '$" .. names
      .. "' is sent as it is written, as Kong does", { severity = "warning",
        cure = "set " .. names .. " in the gateway's environment, or the provider will refuse the key" })
    return value
  elseif #names == 0 then
    return value
  end
  run.problems:at(entry, keys, "'$" .. names[1] .. "' is replaced from the environment, which Kong"
    .. " and decK do not do", { severity = "warning",
      cure = 'portable: ${{ env "DECK_' .. names[1] .. '" }}, or {vault://env/'
        .. vault_name(names[1]) .. "} for the whole value" })
  return out
end

-- Copies the tables on the way to a replaced value; the tree itself stays as it was read.
local function expand_table(run, entry, keys, config)
  local copy = config
  for key, value in pairs(config) do
    keys[#keys + 1] = key
    local changed = value
    if type(value) == "table" then
      changed = expand_table(run, entry, keys, value)
    elseif type(value) == "string" and SHELL_FIELDS[key] then
      changed = expand_value(run, entry, keys, value)
    end
    keys[#keys] = nil
    if changed ~= value then
      if copy == config then
        copy = {}
        for name, item in pairs(config) do
          copy[name] = item
        end
      end
      copy[key] = changed
    end
  end
  return copy
end

local function may_hold_shell_names(file)
  return not file.text or file.text:find("$", 1, true) ~= nil
end

local function prepare_plugin(run, entry)
  apply_shared_config(run, entry)
  local config = entry.input.config
  if type(config) == "table" and (may_hold_shell_names(entry.file) or entry.raw._config) then
    entry.input.config = expand_table(run, entry, { "config" }, config)
  elseif config == null then
    entry.input.config = nil
  end
end

--- Makes entry.input ready for its schema.
function M.run(run, entry)
  if run.defaults[entry.kind] then
    apply_defaults(run, entry)
  end
  if entry.kind == "plugins" then
    prepare_plugin(run, entry)
  elseif entry.kind == "routes" then
    upgrade_paths(entry)
  end
end

return M
