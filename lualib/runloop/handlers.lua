-- Plugins' code: loads a handler once for this Lua state, checks it, says which phases it has.
-- Not configurations (conf.lua), not chains (plan.lua).

local bit = require "bit"
local node = require "moongate.abi.node"
local phase = require "moongate.abi.phase"

local bor = bit.bor

local _M = {}

local CHAIN_PHASES = {
  "certificate", "rewrite", "access", "response", "header_filter", "body_filter", "log",
}

local WS_PHASES = { "ws_handshake", "ws_client_frame", "ws_upstream_frame", "ws_close" }
local LOG_WARN = 5

local loaded = {} -- name -> handler

local function problem(name, what)
  return nil, ("plugin '%s': %s"):format(name, what)
end

-- The numbers of a version, at most three, without what is around them ("v1.2.3-1" is "1.2.3"); nil when there are none.
local function version_of(text)
  local numbers = type(text) == "string" and text:match("%d[%d.]*")
  numbers = numbers and numbers:gsub("%.+$", "")
  local _, dots = (numbers or "..."):gsub("%.", "")
  return dots <= 2 and numbers or nil
end

local function check(name, handler)
  local file = package.loaded["kong.plugins." .. name .. ".handler"] and "its handler.lua" or "handler"
  if type(handler) ~= "table" then
    return problem(name, file .. " returned a " .. type(handler) .. ", not a table")
  end
  local priority = handler.PRIORITY
  if type(priority) ~= "number" or priority ~= math.floor(priority) then
    return problem(name, ("%s has no PRIORITY that is an integer, but %s"):format(file, tostring(priority)))
  end
  local version = version_of(handler.VERSION)
  if not version then
    return problem(name, ("%s has no VERSION of the form \"1.0.0\", but %s"):format(file, tostring(handler.VERSION)))
  end
  handler.VERSION = version
  for _, key in ipairs(CHAIN_PHASES) do
    local fn = handler[key]
    if fn ~= nil and type(fn) ~= "function" then
      return problem(name, file .. ": " .. key .. " is a " .. type(fn) .. ", not a function")
    end
  end
  return handler
end

-- Phases that Kong Enterprise alone has never run here: silence would mislead.
local function warn_unsupported(name, handler)
  for _, key in ipairs(WS_PHASES) do
    if handler[key] ~= nil then
      node.log(LOG_WARN, ("[lua] plugin '%s': its %s never runs: WebSocket phases are Kong Enterprise's and not "
        .. "supported here"):format(name, key))
    end
  end
end

-- The plugin's handler, or nil and what is wrong.
function _M.get(name)
  local handler = loaded[name]
  if handler then
    return handler
  end
  local module = "kong.plugins." .. name .. ".handler"
  local ok, result = xpcall(require, debug.traceback, module)
  if not ok then
    local missing = tostring(result):find("module '" .. module .. "' not found", 1, true)
    if missing then
      return problem(name, "no handler found: " .. tostring(result):gsub("\nstack traceback.*$", ""))
    end
    return problem(name, "handler.lua failed: " .. tostring(result))
  end
  local err
  handler, err = check(name, result)
  if not handler then
    return nil, err
  end
  loaded[name] = handler
  warn_unsupported(name, handler)
  return handler, nil, true
end

-- Handlers are loaded anew when they are next asked for: for specs, between two gateways.
function _M.forget()
  loaded = {}
end

-- Is the phase one that runs only for requests that asked for it (exchange.want)?
function _M.is_optional(handler, name)
  local optional = handler.OPTIONAL
  return type(optional) == "table" and optional[name] == true
end

-- Mask of the phases in which this handler always runs.
function _M.phases(handler)
  local mask = 0
  for _, name in ipairs(CHAIN_PHASES) do
    if handler[name] and not _M.is_optional(handler, name) then
      mask = bor(mask, phase.number(name))
    end
  end
  if handler.response then
    -- The chain is what turns buffering on.
    mask = bor(mask, phase.ACCESS)
  end
  return mask
end

return _M
