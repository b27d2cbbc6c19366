-- `moongate config push`: makes configuration files the current ones of all gateways that follow a Redis. What the
-- command line means, and whether the files are valid: runtime/cli/remote.c. Not the following (remote/follow).

local bundle = require "moongate.remote.bundle"
local crypto = require "moongate.abi.crypto"
local file = require "moongate.util.file"
local node = require "moongate.abi.node"
local store = require "moongate.remote.store"

local native = require("moongate.abi.c").native

local EXIT_FAILED, EXIT_CONFLICT = 1, 2

local function fail(code, text)
  io.stderr:write("moongate: ", text, "\n")
  return code
end

local function is_config(name)
  return name:sub(1, 1) ~= "." and name ~= "gateway.yaml"
    and (name:find("%.ya?ml$") or name:find("%.json$")) ~= nil
end

-- Adds a file under its name in the bundle. true; nil, why.
local function add_file(files, path, name)
  local text, why = file.read(path)
  if not text then
    return nil, why
  elseif files[name] then
    return nil, ("%s: there is another file of that name: give one of them another"):format(path)
  end
  files[name] = text
  return true
end

-- fn(path, name) for each entry whose name does not begin with a dot, by name. true; nil, why.
local function each_entry(dir, fn)
  local names, cannot = native.list_directory(dir)
  if not names then
    return nil, dir .. ": " .. cannot
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local ok, why = fn(dir .. "/" .. name, name)
    if not ok then
      return nil, why
    end
  end
  return true
end

local function is_directory(path)
  return native.list_directory(path) ~= nil
end

-- The Lua files below dir, under prefix.
local function add_code(files, dir, prefix)
  return each_entry(dir, function(path, name)
    if is_directory(path) then
      return add_code(files, path, prefix .. name .. "/")
    end
    return not name:find("%.lua$") or add_file(files, path, prefix .. name)
  end)
end

local function add_path(files, path, with_code)
  if not is_directory(path) then
    return add_file(files, path, path:match("[^/]*$"))
  end
  return each_entry(path, function(at, name)
    if name == "plugins" and with_code and is_directory(at) then
      return add_code(files, at, "plugins/")
    end
    return is_directory(at) or not is_config(name) or add_file(files, at, name)
  end)
end

-- The bundle's text and its signature (base64; nil: unsigned); or nil, why.
local function pack(paths, key_path)
  local files, signing = {}, key_path ~= ""
  for _, path in ipairs(paths) do
    local ok, why = add_path(files, path, signing)
    if not ok then
      return nil, why
    end
  end
  local text, why = bundle.pack(files)
  if not text or not signing then
    return text, why
  end
  local key, signature
  key, why = file.read(key_path)
  if key then
    signature, why = crypto.sign_ed25519(key, text)
  end
  if not signature then
    return nil, ("--sign %s: %s"):format(key_path, why)
  end
  return text, crypto.encode_base64(signature)
end

-- args: where Redis is (store.with), the hash that must be current ("": whichever), the signing key's file ("":
-- none), paths.
return function(_, args)
  local hash, old, is_conflict = store.with(args, function(client, source)
    local expect, key_path = table.remove(args, 1), table.remove(args, 1)
    local text, signature = pack(args, key_path)
    if not text then
      return nil, signature
    end
    return store.publish(client, source.keys, text, {
      signature = signature, expect = expect ~= "" and expect or nil, who = node.hostname(),
    })
  end)
  if not hash then
    return fail(is_conflict and EXIT_CONFLICT or EXIT_FAILED, "not pushed: " .. tostring(old))
  end
  io.stdout:write(hash, hash == old and " (it was current already)" or "", "\n")
  return 0
end
