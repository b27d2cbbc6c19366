-- kong.worker_events and kong.cluster_events: events within this worker. Other workers and nodes do not
-- hear of them: their configuration comes from files, which each of them watches.
-- Invariant: handlers run at once, in the order they were registered.

local _M = {}

local ANY = "*"

local handlers = {} -- source -> event (or ANY) -> list of functions

local function list_of(source, event)
  local by_event = handlers[source]
  if not by_event then
    by_event = {}
    handlers[source] = by_event
  end
  local list = by_event[event]
  if not list then
    list = {}
    by_event[event] = list
  end
  return list
end

--- Calls fn(data, event, source) for the events of a source; of all its events when none is named.
function _M.register(fn, source, ...)
  if type(fn) ~= "function" or type(source) ~= "string" then
    error("register takes a function and the name of a source", 2)
  end
  for i = 1, math.max(1, select("#", ...)) do
    local list = list_of(source, select(i, ...) or ANY)
    list[#list + 1] = fn
  end
  return true
end

local function call(list, data, event, source)
  for i = 1, #list do
    list[i](data, event, source)
  end
end

--- Tells the handlers of this worker. Returns true.
function _M.post(source, event, data)
  call(list_of(source, event), data, event, source)
  call(list_of(source, ANY), data, event, source)
  return true
end

_M.post_local = _M.post

local CHANNELS = "channel:"

--- cluster_events: calls fn(data) for what is broadcast on a channel by this worker.
function _M:subscribe(channel, fn)
  return _M.register(fn, CHANNELS .. channel)
end

--- cluster_events: tells the subscribers of this worker. Returns true.
function _M:broadcast(channel, data)
  return _M.post(CHANNELS .. channel, "broadcast", data)
end

return _M
