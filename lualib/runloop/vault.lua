-- References to secrets, {vault://env/NAME}, {vault://env/NAME/key}, {vault://<prefix>/name/key}: the
-- env vault and vault entities over it. Resolved once, when a configuration is materialised.
-- Not a secret store; nothing is cached here.

local json = require "moongate.abi.json"
local route = require "moongate.abi.route"

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

local function vault_entity(prefix)
  for _, vault in ipairs(json.decode(route.raw("vaults"))) do
    if vault.prefix == prefix then
      return vault
    end
  end
end

-- Prefix of environment names of a vault, or nil, why.
local function env_prefix(name)
  local vault = vault_entity(name)
  if vault and vault.name ~= "env" then
    return nil, "vault '" .. name .. "' is of kind '" .. tostring(vault.name) .. "'; only env is supported"
  elseif vault then
    return vault.config and vault.config.prefix or ""
  elseif name == "env" then
    return os.getenv("KONG_VAULT_ENV_PREFIX") or ""
  end
  return nil, "no vault '" .. name .. "'"
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

-- The secret's text, or nil, why.
function _M.get(reference)
  local ref, err = _M.parse(reference)
  if not ref then
    return nil, err
  end
  local prefix
  prefix, err = env_prefix(ref.name)
  if not prefix then
    return nil, err
  end
  local variable = (prefix .. ref.resource):gsub("-", "_"):upper()
  local value = os.getenv(variable)
  if not value then
    return nil, "environment variable " .. variable .. " is not set"
  end
  if ref.key then
    value, err = member(value, ref.key)
    if not value then
      return nil, variable .. ": " .. err
    end
  end
  return value
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
