-- Plugins from operators' files: their chunks, each plugin's with globals of its own (guest/environment), unless the setting
-- trusted_plugins names it. Not plugins of ours, whose files run as they are; not snippets.
-- Invariant: a plugin's modules share one environment for the life of the Lua state.

local environment = require "moongate.guest.environment"
local guard = require "moongate.abi.guard"
local node = require "moongate.abi.node"

local _M = {}

local environments = {} -- plugin's name -> globals; false: trusted

-- Does the setting, a list of plugins' names or "*", have this one?
function _M.is_listed(setting, name)
  for word in (node.setting(setting) or ""):gmatch("[^%s,]+") do
    if word == name or word == "*" then
      return true
    end
  end
  return false
end

-- Does the plugin's code come from an operator's file? Known once some of it was loaded.
function _M.is_operators(name)
  return environments[name] ~= nil
end

local function environment_of(name)
  local env = environments[name]
  if env == nil then
    env = not _M.is_listed("trusted_plugins", name) and environment.new(name, {
      plain = guard.plain, stopped = guard.stopped, set_global = _M.set_global,
    })
    environments[name] = env
  end
  return env
end

-- Called for a global that a plugin sets; boot.lua's.
_M.set_global = rawset

-- The chunk of the module "name/handler" with this text. Raises when it is no Lua text.
function _M.chunk(stem, text, path)
  local env = environment_of(stem:match("^[^/]+"))
  local chunk, err
  if env then
    chunk, err = load(text, "@" .. path, "t", env)
  else
    chunk, err = load(text, "@" .. path, "t")
  end
  return chunk or error(err, 0)
end

return _M
