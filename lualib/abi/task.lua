-- Tables of the running task (a request's chain, or a timer), by its slot: which plugin runs,
-- ngx.ctx, kong.ctx.shared, kong.ctx.plugin, wanted phases. C clears a slot's tables when the
-- task ends. Not thread-like objects: abi/wait.
-- Invariant: slots are recycled, so nothing here may be kept beyond a call.

local bit = require "bit"
local c = require "moongate.abi.c"

local C, state = c.C, c.state
local bor, band = bit.bor, bit.band

local _M = {
  ctx = {},     -- slot -> ngx.ctx
  shared = {},  -- slot -> kong.ctx.shared
  plugin = {},  -- slot -> {[handler] = table}
  running = {}, -- slot -> the runloop's record of the plugin that runs
  wanted = {},  -- slot -> {[record] = phases}
  extra = {},   -- slot -> table for modules of ours (caches of a request), keyed by module
}

-- Called when a log chain has ended; the module that keeps values for the record replaces it.
function _M.on_logged()
end

local ctx, shared, plugin, running, wanted, extra =
  _M.ctx, _M.shared, _M.plugin, _M.running, _M.wanted, _M.extra

local function made(tables, slot)
  local t = {}
  if slot > 0 then
    C.mg_slot_used()
    tables[slot] = t
  end
  return t
end

-- Is there a task at all (false in main chunks)?
function _M.exists()
  return state.slot > 0
end

-- The metatable of ngx.ctx; ngx/ctx.lua says what is in it.
_M.CTX_META = {}

local CTX_META = _M.CTX_META

-- ngx.ctx of the task; made on first use.
function _M.get_ctx()
  local slot = state.slot
  return ctx[slot] or setmetatable(made(ctx, slot), CTX_META)
end

function _M.set_ctx(t)
  local slot = state.slot
  if slot > 0 then
    C.mg_slot_used()
    ctx[slot] = t
  end
end

-- kong.ctx.shared of the task.
function _M.get_shared()
  local slot = state.slot
  return shared[slot] or made(shared, slot)
end

function _M.set_shared(t)
  local slot = state.slot
  if slot > 0 then
    C.mg_slot_used()
    shared[slot] = t
  end
end

-- A table of the request for modules of ours, keyed by the module's own table.
function _M.get_extra(key)
  local slot = state.slot
  local all = extra[slot] or made(extra, slot)
  local t = all[key]
  if not t then
    t = {}
    all[key] = t
  end
  return t
end

-- The same, or nil when none has been made: for what is read in every request.
function _M.find_extra(key)
  local all = extra[state.slot]
  return all and all[key]
end

local TOKEN = {}

-- Stands for the running task; alive(token) tells whether that task still runs, since slots are recycled.
function _M.token()
  local token = _M.get_extra(TOKEN)
  token.slot = state.slot
  return token
end

function _M.alive(token)
  local all = extra[token.slot]
  return all ~= nil and all[TOKEN] == token
end

-- kong.ctx.plugin of the plugin that runs; nil outside of plugins.
function _M.get_plugin()
  local slot = state.slot
  local record = running[slot]
  if not record then
    return nil
  end
  local all = plugin[slot] or made(plugin, slot)
  local t = all[record.handler]
  if not t then
    t = {}
    all[record.handler] = t
  end
  return t
end

-- The record of the plugin that runs: {name, id, handler, conf, index, ...}, or nil.
function _M.current()
  return running[state.slot]
end

function _M.set_current(record)
  running[state.slot] = record
end

function _M.want(phases)
  local slot = state.slot
  local record = running[slot]
  if record then
    local all = wanted[slot] or made(wanted, slot)
    all[record.handler] = bor(all[record.handler] or 0, phases)
  end
end

-- Did this handler ask for the phase in this request? For generated chains.
function _M.wants(slot, handler, phase)
  local all = wanted[slot]
  return all ~= nil and band(all[handler] or 0, phase) ~= 0
end

c.native.set_slot_tables({ ctx, shared, plugin, running, wanted, extra })

return _M
