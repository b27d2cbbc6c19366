-- kong.worker_events and kong.cluster_events: events for the handlers of all workers of this node. Other nodes do not
-- hear of them: their configuration comes from files, which each of them watches.
-- Invariant: this worker's handlers run at once, in the order they were registered; the others' within POLL_S.

local node = require("moongate.abi.node")
local wait = require("moongate.abi.wait")
local json = require("moongate.pdk.json")
local news = require("moongate.pdk.news")

local _M = {}

local POLL_S = 0.2
local LOG_ERR, LOG_WARN = 4, 5

local feed = news.new("events")
local listening = false

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

local function call(list, data, event, source)
  for i = 1, #list do
    list[i](data, event, source)
  end
end

local function deliver(source, event, data)
  call(list_of(source, event), data, event, source)
  call(list_of(source, ANY), data, event, source)
end

-- A handler that fails keeps others' events from nobody: hence the pcall.
local function receive(text)
  local message = json.decode(text)
  if message.from == node.worker_pid() then
    return
  end
  local ok, err = pcall(deliver, message.source, message.event, message.data)
  if not ok then
    node.log(LOG_ERR, ("[kong] worker_events: a handler of %s failed: %s"):format(message.source, tostring(err)))
  end
end

local function listen(premature)
  if not premature and not feed:read(receive) then
    node.log(LOG_WARN, "[kong] worker_events: too many at once, some did not reach this worker")
  end
end

--- Calls fn(data, event, source) for the events of a source, of all its events when none is named; whichever worker
-- posts them. All phases.
function _M.register(fn, source, ...)
  if type(fn) ~= "function" or type(source) ~= "string" then
    error("register takes a function and the name of a source", 2)
  end
  if not listening and node.worker_count() > 1 then
    listening = wait.timer_every(POLL_S, listen) ~= nil
  end
  for i = 1, math.max(1, select("#", ...)) do
    local list = list_of(source, select(i, ...) or ANY)
    list[#list + 1] = fn
  end
  return true
end

--- Tells the handlers of this worker, at once. All phases. Returns true.
function _M.post_local(source, event, data)
  deliver(source, event, data)
  return true
end

--- Tells the handlers of all workers: this one's at once, others' a moment later. data: nil, or what JSON can hold.
-- All phases. Returns true, or nil and why.
function _M.post(source, event, data)
  if node.worker_count() > 1 then
    local ok, text = pcall(json.encode, { source = source, event = event, data = data, from = node.worker_pid() })
    if not ok then
      return nil, "the event's data cannot go to other workers: " .. tostring(text)
    end
    feed:publish(text)
  end
  deliver(source, event, data)
  return true
end

local CHANNELS = "channel:"

--- cluster_events: calls fn(data) for what is broadcast on a channel by any worker of this node. All phases.
function _M:subscribe(channel, fn)
  return _M.register(fn, CHANNELS .. channel)
end

--- cluster_events: tells the subscribers in all workers of this node. All phases. Returns true, or nil and why.
function _M:broadcast(channel, data)
  return _M.post(CHANNELS .. channel, "broadcast", data)
end

return _M
