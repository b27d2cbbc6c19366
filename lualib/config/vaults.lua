-- Vault references: their values, and the check at load time that every one of them has a value.
-- In plugin configs they stay in the document and are resolved when a plan is built, by
-- moongate.runloop.vault; the text of files that references name goes along as document.secrets.
-- Invariant: the value behind a reference never appears in a message.

local cjson_safe = require("cjson.safe")

local Schema = require("moongate.schema")
local secret_file = require("moongate.util.secret_file")

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
  return { vault = name, resource = resource, key = key ~= "" and key or nil }, path
end

--- The environment variable that holds `resource` of an env vault with `prefix`.
function M.variable(resource, prefix)
  return ((prefix or "") .. resource):upper():gsub("-", "_")
end

local function text_prefix(vault)
  local prefix = type(vault.config) == "table" and vault.config.prefix
  return type(prefix) == "string" and prefix or ""
end

--- From vault entities, a map of vault prefixes to what they mean: the prefix of environment variables, or {directory=}.
function M.prefixes(vaults, getenv)
  local map = { env = getenv("KONG_VAULT_ENV_PREFIX") or "" }
  local default, files = secret_file.default_directory(getenv), {}
  map.file = default and { directory = default }
  for _, vault in ipairs(vaults) do
    if vault.name == "file" then
      map[vault.prefix] = { directory = text_prefix(vault) }
      files[#files + 1] = map[vault.prefix]
    else
      map[vault.prefix] = text_prefix(vault)
    end
  end
  map.file = map.file or #files == 1 and files[1] or nil
  return map
end

local function resolve_file(reference, path, directory, read)
  if not read then
    return nil, "vault reference '" .. reference .. "' names a file, and none is read here", nil
  end
  local value, why = secret_file.get(directory, path, read)
  if not value then
    return nil, "vault reference '" .. reference .. "' has no value: " .. why,
      "put the secret into that file, or correct the vault's config.prefix"
  end
  return value
end

local function resolve_variable(reference, parts, prefix, getenv)
  local variable = M.variable(parts.resource, prefix)
  local value = getenv(variable)
  if not value then
    return nil, "vault reference '" .. reference .. "' has no value: environment variable '"
      .. variable .. "' is not set", "set " .. variable .. " in the gateway's environment"
  end
  if not parts.key then
    return value
  end
  local object = cjson_safe.decode(value)
  if type(object) ~= "table" or type(object[parts.key]) ~= "string" then
    return nil, "vault reference '" .. reference .. "' has no value: environment variable '"
      .. variable .. "' is not a JSON object with the string '" .. parts.key .. "'",
      "correct " .. variable
  end
  return object[parts.key]
end

--- The value of a reference; or nil, the message, and a cure. prefixes: see M.prefixes. read(path) -> text, or nil and why:
-- how files are read.
function M.resolve(reference, prefixes, getenv, read)
  local parts, path = M.parse(reference)
  if not parts then
    return nil, path, "write {vault://env/name-of-variable}"
  end
  local prefix = prefixes[parts.vault]
  if not prefix then
    return nil, "invalid reference '" .. reference .. "' (no vault with prefix '"
      .. parts.vault .. "')", "declare it under vaults, or use the prefix env"
  elseif type(prefix) == "table" then
    return resolve_file(reference, path, prefix.directory, read)
  end
  return resolve_variable(reference, parts, prefix, getenv)
end

-- Reads a file of this run once, and keeps its text for the document.
local function reader(run)
  if not run.opts.read_secret then
    return nil
  end
  return function(path)
    local text = run.secrets[path]
    if text then
      return text
    end
    local why
    text, why = run.opts.read_secret(path)
    run.secrets[path] = text
    return text, why
  end
end

-- Prefixes of this run. A vault with mistakes of its own still counts, to tell one mistake once.
local function prefixes_of(run)
  if not run.vault_prefixes then
    local list = {}
    for _, entry in ipairs(run.entries.vaults) do
      local vault = entry.output or entry.input
      list[#list + 1] = type(vault.prefix) == "string" and vault or nil
    end
    run.vault_prefixes = M.prefixes(list, run.opts.getenv)
  end
  return run.vault_prefixes
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
  local found, err, cure = M.resolve(value, prefixes_of(run), run.opts.getenv, reader(run))
  if not found then
    run.problems:at(entry, keys, err, { cure = cure })
  end
end

local resolved

-- A copy of a record's fields with values for references. by_name: the definitions of its fields.
local function resolved_record(run, by_name, record)
  local out = {}
  for key, value in pairs(record) do
    out[key] = resolved(run, by_name[key] or {}, value)
  end
  return out
end

function resolved(run, field, value)
  if field.type == "record" and type(value) == "table" then
    return resolved_record(run, Schema.compile(field).by_name, value)
  elseif field.referenceable and Schema.is_reference(value) then
    return M.resolve(value, prefixes_of(run), run.opts.getenv, reader(run)) or value
  end
  return value
end

--- A copy of the entry's output in which references have become values, in its records too.
function M.resolve_fields(run, entry)
  return resolved_record(run, entry.schema.fields, entry.output)
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
  local file = entry.file
  if file.mentions_vault == nil then -- once for each file: a scan for each entry is quadratic
    file.mentions_vault = not file.text or file.text:find("{vault://", 1, true) ~= nil
  end
  if not file.mentions_vault and not entry.raw._config then
    return
  end
  walk(run, entry, {}, { type = "record", fields = entry.schema.definition.fields }, entry.output)
end

return M
