-- A set of configuration files as one text: what `moongate config push` stores and a gateway takes. Not where it is
-- stored (store.lua). Invariant: no name in it leads out of the directory it is unpacked into.

local json = require "moongate.util.json_encode"
local decode = require("cjson.safe").decode

local _M = {}

local FORMAT = 1
local MAX_BYTES = 8 * 1024 * 1024 -- what a gateway takes within plugin_budget and plugin_memory, beside its requests

local CONFIG = { yaml = true, yml = true, json = true }

-- "config" or "code": what a file of that name is for; nil, why.
local function kind_of(name)
  if name:find("^/") or name:find("\0", 1, true) or ("/" .. name .. "/"):find("/%.") or name:find("//", 1, true)
    or #name > 255 then
    return nil, "may not stand in a bundle"
  elseif name:find("^plugins/[^/]+/.+%.lua$") then
    return "code"
  elseif not name:find("/", 1, true) and CONFIG[name:match("%.(%w+)$") or ""] then
    return "config"
  end
  return nil, "is neither a .yaml, .yml or .json file nor plugins/NAME/*.lua"
end

-- true when all files may be unpacked; nil, why.
local function check(files, allow_code)
  local n = 0
  for name, text in pairs(files) do
    local kind, why = nil, "has no text"
    if type(name) == "string" and type(text) == "string" then
      kind, why = kind_of(name)
    end
    if not kind then
      return nil, ("file '%s' %s"):format(tostring(name), why)
    elseif kind == "code" and not allow_code then
      return nil, ("file '%s' is Lua code, which is taken only with a signature"):format(name)
    end
    n = n + (kind == "config" and 1 or 0)
  end
  if n == 0 then
    return nil, "there is no .yaml, .yml or .json file"
  end
  return true
end

-- true when a bundle of that size may be; nil, why.
local function check_size(text)
  if #text > MAX_BYTES then
    return nil, ("is too large: %d bytes are more than %d MiB"):format(#text, MAX_BYTES / 1024 / 1024)
  end
  return true
end

--- files: name -> text. The bundle's text, the same for the same files; or nil, why.
function _M.pack(files)
  local ok, why = check(files, true)
  if not ok then
    return nil, why
  end
  local names, list = {}, {}
  for name in pairs(files) do
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do
    list[i] = ('{"name":%s,"text":%s}'):format(json.encode(name), json.encode(files[name]))
  end
  local text = ('{"format":%d,"files":[%s]}'):format(FORMAT, table.concat(list, ","))
  ok, why = check_size(text)
  if not ok then
    return nil, "the bundle " .. why
  end
  return text
end

--- The files of a bundle, name -> text; or nil, why. allow_code: plugins' Lua files too.
function _M.unpack(text, allow_code)
  local ok, why = check_size(text)
  if not ok then
    return nil, why
  end
  local bundle
  bundle, why = decode(text)
  if type(bundle) ~= "table" then
    return nil, "is no JSON object: " .. tostring(why)
  elseif bundle.format ~= FORMAT or type(bundle.files) ~= "table" then
    return nil, ("has format %s, expected %d: is the gateway older than the one that pushed?"):format(
      tostring(bundle.format), FORMAT)
  end
  local files = {}
  for _, file in ipairs(bundle.files) do
    if type(file) ~= "table" or type(file.name) ~= "string" or files[file.name] then
      return nil, "has a file without a name of its own"
    end
    files[file.name] = file.text
  end
  ok, why = check(files, allow_code)
  if not ok then
    return nil, why
  end
  return files
end

return _M
