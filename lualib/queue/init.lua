-- Queues of entries that many requests make and a handler sends in batches: retries with growing
-- delays, bounds in entries and bytes, one queue for each name in each worker.
-- Not kept over a restart: at the worker's end what waits is sent for the seconds that are left.
-- Guests reach this module as "kong.tools.queue".
-- Invariant: an entry reaches a handler that takes it, or is counted as dropped and told in the log.

local buffer = require "moongate.queue.buffer"
local node = require "moongate.abi.node"
local stats = require "moongate.abi.stats"
local wait = require "moongate.abi.wait"

local _M = {}

local LOG_ERR, LOG_WARN, LOG_INFO = 4, 5, 7
local WATCH_S = 3600   -- the period of a timer that is there to be ended
local EXIT_SHARE = 0.8 -- of the time left at the worker's end; the rest is for the last lines of the log

local DEFAULTS = {
  max_batch_size = 1, max_coalescing_delay = 1, max_entries = 10000, initial_retry_delay = 0.01,
  max_retry_time = 60, max_retry_delay = 60, concurrency_limit = 1,
}

local queues = {}     -- name -> queue; those that hold something
local counters = {}   -- log tag -> counter of what was dropped
local watching = false -- is there a timer that tells of the worker's end?
local exit_at         -- monotonic s when retries end; nil while the worker goes on
local finisher        -- the parked task that waits for the queues to be empty, at the worker's end

local function option(conf, name)
  local value = conf[name]
  if value == nil then
    return DEFAULTS[name]
  end
  return value
end

local function say(queue, level, text)
  node.log(level, ("[kong] [%s] queue %s: %s"):format(queue.conf.log_tag or "queue", queue.name, text))
end

local function count_dropped(queue, n)
  local tag = queue.conf.log_tag or "queue"
  local handle = counters[tag]
  if not handle then
    handle = stats.counter("moongate_queue_dropped_total", stats.label("plugin", tag),
      "Entries of queues that no handler took")
    counters[tag] = handle
  end
  stats.add(handle, n)
end

-- Waits that end early ------------------------------------------------------------------------------

local function pause(queue, seconds)
  queue.parked = wait.park_id()
  wait.park(seconds)
  queue.parked = nil
end

local function wake(queue)
  if queue.parked then
    wait.unpark(queue.parked)
  end
end

-- Sending -------------------------------------------------------------------------------------------

-- When retries of a batch that began at that time end.
local function deadline_of(queue, began)
  local at = began + option(queue.conf, "max_retry_time")
  return exit_at and math.min(at, exit_at) or at
end

-- A handler that raises has failed: the queue must outlive it, hence the pcall.
local function try(queue, batch)
  local called, ok, err = pcall(queue.handler, queue.handler_conf, batch)
  if called and ok then
    return true
  end
  return false, tostring(called and (err or "the handler gave no reason") or ok)
end

local function give_up(queue, batch, why)
  count_dropped(queue, #batch)
  say(queue, LOG_ERR, ("could not send entries, giving up after %d tries; %d queue entries were lost: %s")
    :format(batch.tries, #batch, why))
end

local function taken(queue)
  if queue.dropped > 0 then
    say(queue, LOG_WARN, ("processing is successful again; %d entries were dropped"):format(queue.dropped))
    queue.dropped = 0
  end
end

local function retry_later(queue, batch, delay, why)
  say(queue, batch.tries == 1 and LOG_WARN or LOG_INFO,
    ("handler could not process entries, trying again in %g s: %s"):format(delay, why))
  pause(queue, delay)
end

-- Hands a batch over until the handler takes it or its time is up.
local function send(queue, batch)
  local conf, began = queue.conf, node.mono()
  local delay = option(conf, "initial_retry_delay")
  batch.tries = 0
  while true do
    local ok, why = try(queue, batch)
    batch.tries = batch.tries + 1
    if ok then
      return taken(queue)
    elseif node.mono() + delay > deadline_of(queue, began) then
      return give_up(queue, batch, why)
    end
    retry_later(queue, batch, delay, why)
    delay = math.min(delay * 2, option(conf, "max_retry_delay"))
  end
end

local function is_empty(queue)
  return queue.waiting.n == 0 and queue.sending == 0
end

-- The last thing a task does with a queue.
local function leave(queue)
  if not is_empty(queue) then
    return
  end
  if queues[queue.name] == queue then
    queues[queue.name] = nil
  end
  if finisher and next(queues) == nil then
    wait.unpark(finisher)
  end
end

local function send_next(queue)
  local batch = queue.waiting:take(option(queue.conf, "max_batch_size"))
  queue.sending = #batch
  send(queue, batch)
  queue.sending = 0
end

-- Waits for the batch to fill.
local function gather(queue)
  local conf = queue.conf
  local until_ = node.mono() + option(conf, "max_coalescing_delay")
  while queue.waiting.n < option(conf, "max_batch_size") and not exit_at do
    local left = until_ - node.mono()
    if left <= 0 then
      return
    end
    queue.gathers = true
    pause(queue, left)
    queue.gathers = false
  end
end

-- The task of a queue: runs while it holds entries.
local function consume(_, queue)
  while queue.waiting.n > 0 do
    gather(queue)
    send_next(queue)
  end
  queue.runs = false
  leave(queue)
end

-- With concurrency_limit -1 each entry has a task of its own.
local function consume_one(_, queue, entry)
  send(queue, { entry })
  queue.sending = queue.sending - 1
  leave(queue)
end

-- The worker's end ----------------------------------------------------------------------------------

local function lose_all()
  for _, queue in pairs(queues) do
    local n = queue.waiting.n + queue.sending
    count_dropped(queue, n)
    say(queue, LOG_ERR, ("the worker ends; %d queue entries were lost"):format(n))
  end
  queues = {}
end

-- Lets every queue send what it holds now. What is left when the time is over is told.
local function finish()
  local left = (node.exit_time() or 0) * EXIT_SHARE
  exit_at = node.mono() + left
  for _, queue in pairs(queues) do
    wake(queue)
  end
  if next(queues) ~= nil and left > 0 then
    finisher = wait.park_id()
    wait.park(left)
    finisher = nil
  end
  lose_all()
end

local function on_watch(premature)
  if premature then
    finish()
  end
end

local function watch()
  if not watching then
    watching = wait.timer_every(WATCH_S, on_watch) ~= nil
  end
end

-- Entering ------------------------------------------------------------------------------------------

local function start(queue, fn, ...)
  local ok, err = wait.timer_at(0, fn, queue, ...)
  if not ok and not queue.stuck then
    say(queue, LOG_ERR, "cannot start a timer to send entries; they wait: " .. tostring(err))
  end
  queue.stuck = not ok
  return ok and true or false
end

local function queue_for(conf, handler, handler_conf)
  local queue = queues[conf.name]
  if not queue then
    queue = { name = conf.name, waiting = buffer.new(), sending = 0, dropped = 0 }
    queues[conf.name] = queue
  end
  queue.conf, queue.handler, queue.handler_conf = conf, handler, handler_conf
  return queue
end

-- What did not fit is counted, and told once until a handler succeeds again.
local function drop(queue, n)
  count_dropped(queue, n)
  if queue.dropped == 0 then
    say(queue, LOG_ERR, "queue full, dropping old entries until processing is successful again")
  end
  queue.dropped = queue.dropped + n
end

local function size_of(conf, entry)
  if not conf.max_bytes then
    return 0
  elseif type(entry) ~= "string" then
    return nil, "only strings can be queued where max_bytes is set"
  elseif #entry > conf.max_bytes then
    return nil, ("string to be queued is longer (%d bytes) than the queue's max_bytes (%d bytes)"):format(
      #entry, conf.max_bytes)
  end
  return #entry
end

local function check(conf, handler)
  if type(conf) ~= "table" or type(conf.name) ~= "string" then
    error("arg #1 (queue_conf) must be a table with a name", 3)
  elseif type(handler) ~= "function" then
    error("arg #2 (handler) must be a function", 3)
  end
end

-- Entries that go out at once, each for itself. The bound is on how many are on their way.
local function send_alone(queue, entry)
  if queue.sending >= option(queue.conf, "max_entries") then
    drop(queue, 1)
    return nil, "queue full"
  end
  queue.sending = queue.sending + 1
  if not start(queue, consume_one, entry) then
    queue.sending = queue.sending - 1
    count_dropped(queue, 1)
    return nil, "no timer"
  end
  return true
end

local function append(queue, entry, size)
  local conf = queue.conf
  local dropped = queue.waiting:push(entry, size, option(conf, "max_entries"), conf.max_bytes)
  if dropped > 0 then
    drop(queue, dropped)
  end
  if not queue.runs then
    queue.runs = start(queue, consume)
  elseif queue.gathers and queue.waiting.n >= option(conf, "max_batch_size") then
    wake(queue)
  end
  return true
end

--- Appends an entry; handler(handler_conf, entries) -> true | nil, err gets it, later, in a timer.
-- conf: name, log_tag, max_batch_size, max_coalescing_delay (s), max_entries, max_bytes, initial_retry_delay,
-- max_retry_time and max_retry_delay (s), concurrency_limit (1, or -1: an entry waits for no other).
-- All phases. Returns true, or nil and why.
-- Example: Queue.enqueue(Queue.get_plugin_params("my-log", conf), send_entries, conf, kong.log.serialize())
function _M.enqueue(conf, handler, handler_conf, entry)
  check(conf, handler)
  if entry == nil then
    return nil, "entry must be a non-nil Lua value"
  end
  local size, err = size_of(conf, entry)
  local queue = queue_for(conf, handler, handler_conf)
  if not size then
    count_dropped(queue, 1)
    say(queue, LOG_ERR, err)
    leave(queue)
    return nil, err
  end
  watch()
  if option(conf, "concurrency_limit") == -1 then
    return send_alone(queue, entry)
  end
  return append(queue, entry, size)
end

--- Would an entry fit without pushing others out?
function _M.can_enqueue(conf, entry)
  local queue = queues[conf.name]
  if not queue then
    return true
  end
  local waiting, n = queue.waiting, type(entry) == "string" and #entry or 0
  return waiting.n < option(conf, "max_entries")
    and (not conf.max_bytes or waiting.bytes + n <= conf.max_bytes)
end

function _M.is_full(conf)
  return not _M.can_enqueue(conf)
end

--- Is there a queue of that name with entries?
function _M.exists(name)
  return queues[name] ~= nil
end

-- Older parameters of plugins, with the value that means "not set", and what they are now.
local OLDER = {
  queue_size = { 1, "max_batch_size" }, flush_timeout = { 2, "max_coalescing_delay" },
  batch_span_count = { 200, "max_batch_size" }, batch_flush_delay = { 3, "max_coalescing_delay" },
}

local function with_older(conf, plugin_name, config)
  for name, new in pairs(OLDER) do
    local value = config[name]
    if type(value) == "number" and value ~= new[1] then
      conf[new[2]] = value
      node.log(LOG_WARN, ("[kong] [%s] config.%s is deprecated, please use config.queue.%s instead"):format(
        plugin_name, name, new[2]))
    end
  end
end

local params = setmetatable({}, { __mode = "k" }) -- config -> queue's name or "" -> parameters

--- The parameters of a plugin's queue: its config's `queue` (or `options`, where it has none), under a
-- name of its own.
function _M.get_plugin_params(plugin_name, config, queue_name, options)
  local all = params[config]
  if not all then
    all = {}
    params[config] = all
  end
  local key = queue_name or ""
  if not all[key] then
    local conf = {}
    for name, value in pairs(config.queue or options or {}) do
      conf[name] = value
    end
    local id = queue_name or config.__plugin_id or config.__key__ or tostring(config)
    conf.name = conf.name or plugin_name .. ":" .. id
    conf.log_tag = plugin_name
    with_older(conf, plugin_name, config)
    all[key] = conf
  end
  return all[key]
end

return _M
