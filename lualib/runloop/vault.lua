-- References to secrets, {vault://env/NAME}, {vault://env/NAME/key}, {vault://file/name}, {vault://<prefix>/name/key}:
-- environment and files, and vault entities over them. Resolved once, when a configuration is materialised.
-- Not a secret store; nothing is cached here.

local file = require "moongate.util.file"
local json = require "moongate.abi.json"
local route = require "moongate.abi.route"
local secret_file = require "moongate.util.secret_file"

local _M = {}

-- Is the whole value a reference?
function _M.is_reference(value)
  return type(value) == "string" and value:sub(1, 9) == "{vault://" and value:sub(-1) == "}"
end

-- {name=, resource=, key=, query=}, or nil, why.
function _M.parse(reference)
  if not _M.is_reference(reference) then
    return nil, "not a reference"
  end
  local body = reference:sub(10, -2)
  local path, query = body:match("^([^?#]*)%??([^#]*)")
  local name, rest = path:match("^([^/]+)/(.+)$")
  if not name then
    return nil, "a reference needs a vault and a resource"
  end
  local resource, key = rest:match("^([^/]+)/(.+)$")
  return { name = name, resource = resource or rest, key = key, query = query ~= "" and query or nil }
end

-- The directory of the only file vault, whatever its prefix.
local function only_file_directory()
  local found
  for _, vault in ipairs(json.decode(route.raw("vaults"))) do
    if vault.name == "file" then
      if found then
        return nil
      end
      found = vault.config and vault.config.prefix
    end
  end
  return found
end

local function vault_entity(prefix)
  for _, vault in ipairs(json.decode(route.raw("vaults"))) do
    if vault.prefix == prefix then
      return vault
    end
  end
end

-- What a vault's name means: the prefix of environment variables, or nil and the directory of files. Or nil, nil and why.
local function meaning_of(name)
  local vault = vault_entity(name)
  local prefix = vault and vault.config and vault.config.prefix
  if vault and vault.name == "file" then
    return nil, prefix
  elseif vault and vault.name ~= "env" then
    return nil, nil, ("vault '%s' is of kind '%s'; env and file are supported"):format(name, tostring(vault.name))
  elseif vault then
    return prefix or ""
  elseif name == "env" then
    return os.getenv("KONG_VAULT_ENV_PREFIX") or ""
  elseif name == "file" then
    local directory = secret_file.default_directory(os.getenv) or only_file_directory()
    return nil, directory, not directory and "no vault 'file' is declared, and no default directory is set" or nil
  end
  return nil, nil, "no vault '" .. name .. "'"
end

local function member(text, key)
  local ok, value = pcall(json.decode, text)
  if not ok or type(value) ~= "table" then
    return nil, "its value is not a JSON object"
  end
  local found = value[key]
  if found == nil then
    return nil, "its value has no member '" .. key .. "'"
  end
  return tostring(found)
end

local function from_environment(ref, prefix)
  local variable = (prefix .. ref.resource):gsub("-", "_"):upper()
  local value = os.getenv(variable)
  if not value then
    return nil, "environment variable " .. variable .. " is not set"
  end
  local err
  if ref.key then
    value, err = member(value, ref.key)
    if not value then
      return nil, variable .. ": " .. err
    end
  end
  return value
end

-- The text that was read with the configuration; a file that only code names is read now.
local function read_file(path)
  local known = json.decode(route.raw("secrets"))[path]
  if known then
    return known
  end
  return file.read(path)
end

-- The secret's text, or nil, why.
function _M.get(reference)
  local ref, err = _M.parse(reference)
  if not ref then
    return nil, err
  end
  local prefix, directory, why = meaning_of(ref.name)
  if directory then
    return secret_file.get(directory, ref.key and ref.resource .. "/" .. ref.key or ref.resource, read_file)
  elseif not prefix then
    return nil, why
  end
  return from_environment(ref, prefix)
end

-- Replaces every reference in `t` (nested) by its secret; on_missing(path, reference, why) is told
-- of those that cannot be had, and they become "".
function _M.resolve(t, on_missing, path)
  for key, value in pairs(t) do
    local at = path and path .. "." .. tostring(key) or tostring(key)
    if type(value) == "table" then
      _M.resolve(value, on_missing, at)
    elseif _M.is_reference(value) then
      local secret, err = _M.get(value)
      if not secret then
        on_missing(at, value, err)
      end
      t[key] = secret or ""
    end
  end
  return t
end

return _M
