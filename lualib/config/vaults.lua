-- Checks at load time that every vault reference has a value now. The references stay in the
-- document; whoever uses a field resolves it then, with the same rules.
-- Invariant: the value behind a reference never appears in a message.

local cjson_safe = require("cjson.safe")

local Schema = require("moongate.schema")

local M = {}

--- Parts of "{vault://name/resource/key?options}", or nil and what is wrong.
function M.parse(reference)
  local name, rest = reference:match("^{vault://([^/?}]+)/([^}]*)}$")
  if not name or rest == "" then
    return nil, "not a valid vault reference"
  end
  local path = rest:match("^([^?]*)")
  local resource, key = path:match("^([^/]+)/?(.*)$")
  if not resource then
    return nil, "not a valid vault reference"
  end
  return { vault = name, resource = resource, key = key ~= "" and key or nil }
end

--- The environment variable that holds `resource` of an env vault with `prefix`.
function M.variable(resource, prefix)
  return ((prefix or "") .. resource):upper():gsub("-", "_")
end

local function prefix_of(run, name)
  if name == "env" then
    return run.opts.getenv("KONG_VAULT_ENV_PREFIX") or ""
  end
  local entry = (run.index.vaults.prefix or {})[name]
  if not entry then
    return nil
  end
  local config = entry.output and entry.output.config
  return config and config.prefix or ""
end

--- true when the reference has a value; or nil, the message, and a cure.
function M.check(run, reference)
  local parts, err = M.parse(reference)
  if not parts then
    return nil, err, "write {vault://env/name-of-variable}"
  end
  local prefix = prefix_of(run, parts.vault)
  if not prefix then
    return nil, "invalid reference '" .. reference .. "' (no vault with prefix '" .. parts.vault .. "')",
      "declare it under vaults, or use the prefix env"
  end
  local variable = M.variable(parts.resource, prefix)
  local value = run.opts.getenv(variable)
  if not value then
    return nil, "vault reference '" .. reference .. "' has no value: environment variable '"
      .. variable .. "' is not set", "set " .. variable .. " in the gateway's environment"
  end
  if not parts.key then
    return true
  end
  local object = cjson_safe.decode(value)
  if type(object) ~= "table" or type(object[parts.key]) ~= "string" then
    return nil, "vault reference '" .. reference .. "' has no value: environment variable '" .. variable
      .. "' is not a JSON object with the string '" .. parts.key .. "'", "correct " .. variable
  end
  return true
end

local walk

local function visit(run, entry, keys, key, field, value)
  keys[#keys + 1] = key
  walk(run, entry, keys, field, value)
  keys[#keys] = nil
end

local function check_string(run, entry, keys, field, value)
  if not Schema.is_reference(value) then
    return
  elseif not field.referenceable then
    run.problems:at(entry, keys, "a vault reference has no effect in this field", {
      severity = "warning", cure = "the text itself is used; write the value" })
    return
  end
  local ok, err, cure = M.check(run, value)
  if not ok then
    run.problems:at(entry, keys, err, { cure = cure })
  end
end

function walk(run, entry, keys, field, value)
  if type(value) == "string" then
    check_string(run, entry, keys, field, value)
  elseif type(value) ~= "table" then
    return
  elseif field.type == "record" then
    local fields = Schema.compile(field).by_name
    for key, item in pairs(value) do
      visit(run, entry, keys, key, fields[key] or {}, item)
    end
  elseif field.type == "array" or field.type == "set" or field.type == "map" then
    for key, item in pairs(value) do
      visit(run, entry, keys, key, field.elements or field.values or {}, item)
    end
  end
end

--- Checks all references in the entry's output.
function M.run(run, entry)
  if entry.file.text and not entry.file.text:find("{vault://", 1, true) and not entry.raw._config then
    return
  end
  walk(run, entry, {}, { type = "record", fields = entry.schema.definition.fields }, entry.output)
end

return M
