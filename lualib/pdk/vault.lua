-- kong.vault: secrets behind references: environment variables, files, and vault entities over them. A file that the
-- configuration names is as it was when that was loaded (a change makes a new one); there is nothing to warm up or to flush.

local vault = require("moongate.runloop.vault")

local _M = {}

--- Is the value a reference? All phases. Returns a boolean.
function _M.is_reference(reference)
  return (vault.is_reference(reference)) and true or false
end

local function options_of(query)
  local out = {}
  for name, value in (query or ""):gmatch("([^&=]+)=?([^&]*)") do
    out[name] = value
  end
  return out
end

--- Parts of a reference: {name, resource, key, config, version}. All phases. Or nil and why.
function _M.parse_reference(reference)
  if type(reference) ~= "string" then
    error("reference must be a string", 2)
  end
  local parts, err = vault.parse(reference)
  if not parts then
    return nil, err
  end
  return {
    name = parts.name,
    resource = parts.resource,
    key = parts.key,
    config = parts.query and options_of(parts.query) or nil,
    version = tonumber(reference:match("#(%d+)}$")),
  }
end

--- The secret, or nil and why. All phases. Example: kong.vault.get("{vault://env/my-secret}")
function _M.get(reference)
  if not vault.is_reference(reference) then
    return nil, "unable to parse reference: not a reference"
  end
  local value, err = vault.get(reference)
  if not value then
    return nil, ("could not get value from vault (%s) [%s]"):format(err, reference)
  end
  return value
end

--- Reads the secrets of a configuration again, by its map config["$refs"]. All phases. Returns the configuration.
function _M.update(config)
  if type(config) ~= "table" then
    error("config must be a table", 2)
  end
  for field, reference in pairs(config["$refs"] or {}) do
    if type(reference) == "string" then
      config[field] = vault.get(reference) or ""
    end
  end
  return config
end

--- Calls callback(options); when it fails, once more with the secrets read again. All phases.
-- Returns the callback's results.
function _M.try(callback, options)
  if type(callback) ~= "function" then
    error("callback must be a function", 2)
  end
  local result, err = callback(options)
  if result or type(options) ~= "table" or not options["$refs"] then
    return result, err
  end
  return callback(_M.update(options))
end

--- Nothing is kept, so nothing is to be done. All phases.
function _M.flush() end

--- See flush.
function _M.warmup() end

return _M
