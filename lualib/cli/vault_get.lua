-- `moongate vault get REFERENCE`: the secret behind {vault://env/NAME}, vault://env/NAME or env/NAME.
-- Vault entities of a configuration are known when C was given one (-c): its settings are this program's.

local native = require("moongate.abi.c").native
local vault = require "moongate.runloop.vault"

local function reference_of(word)
  if vault.is_reference(word) then
    return word
  end
  return "{vault://" .. word:gsub("^vault://", "") .. "}"
end

-- The vaults of the configuration are found where a worker finds them: in a generation of this process.
local function open(program)
  local flags = {}
  for _, name in ipairs({ "config_paths", "plugin_dirs" }) do
    for _, path in ipairs(native.setting(name) or {}) do
      flags[#flags + 1] = name .. "=" .. path
    end
  end
  if #flags == 0 then
    return true
  end
  return program.open_gateway(flags)
end

return function(program, args)
  local ok, problems = open(program)
  if not ok then
    io.stderr:write(problems)
    return 1
  end
  local value, err = vault.get(reference_of(args[1]))
  if not value then
    io.stderr:write(("moongate: %s: %s\n"):format(args[1], err))
    return 1
  end
  io.stdout:write(value, "\n")
  return 0
end
