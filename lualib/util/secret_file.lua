-- Secrets in files (Kubernetes secrets, systemd credentials): which file a reference of a `file` vault names, and what
-- of it is the secret. How a file is read comes in by argument.
-- Invariant: no path leads out of the vault's directory; no secret is in a message.

local cjson_safe = require("cjson.safe")

local M = {}

--- The directory of {vault://file/...} without a vault entity, or nil.
function M.default_directory(getenv)
  for _, name in ipairs({ "MOONGATE_VAULT_FILE_PREFIX", "KONG_VAULT_FILE_PREFIX", "CREDENTIALS_DIRECTORY" }) do
    local value = getenv(name)
    if value and value ~= "" then
      return value
    end
  end
  return nil
end

local function check(rest)
  if rest == "" or rest:sub(1, 1) == "/" then
    return nil, "the path is not relative to the vault's directory"
  end
  for segment in (rest .. "/"):gmatch("([^/]*)/") do
    if segment == "" or segment == "." or segment == ".." then
      return nil, "the path has an empty, '.' or '..' segment"
    end
  end
  return true
end

local function strip(text)
  return (text:gsub("\r?\n$", ""))
end

local function member(text, key, path)
  local object = cjson_safe.decode(text)
  local found = type(object) == "table" and object[key]
  if type(found) ~= "string" then
    return nil, "file '" .. path .. "' is not a JSON object with the string '" .. key .. "'"
  end
  return found
end

--- The secret that `rest` names in `directory`: the file of that path, without its last newline; or, when there is none,
-- the member "key" of the JSON file "name" for "name/key". read(path) -> text, or nil and why. Or nil and why.
function M.get(directory, rest, read)
  local ok, err = check(rest)
  if not ok then
    return nil, err
  end
  directory = directory:gsub("(.)/+$", "%1")
  local path = directory .. "/" .. rest
  local text, why = read(path)
  if text then
    return strip(text)
  end
  local parent, key = rest:match("^(.+)/([^/]+)$")
  local object = parent and read(directory .. "/" .. parent)
  if object then
    return member(object, key, directory .. "/" .. parent)
  end
  return nil, "file '" .. path .. "' cannot be read: " .. tostring(why)
end

return M
