-- The name guests know: require "kong.tools.queue": entries of many requests, sent in batches by a timer, with
-- retries. One queue for each name in each worker; what does not fit pushes the oldest out.
-- Not kept over a restart; at the worker's end each queue is sent once.
-- Invariant: `sending` holds while a handler runs, so that batches of a queue go one after another.

local node = require("moongate.abi.node")
local wait = require("moongate.abi.wait")

local LOG_ERR, LOG_WARN, LOG_INFO = 4, 5, 7

local DEFAULTS = {
  max_batch_size = 1, max_coalescing_delay = 1, max_entries = 10000,
  initial_retry_delay = 0.01, max_retry_time = 60, max_retry_delay = 60,
}

local _M = {}

local queues = {} -- name -> queue

local function say(queue, level, text)
  node.log(level, ("[kong] queue %s: %s"):format(queue.name, text))
end

--- The parameters of a plugin's queue: its config's `queue` and a name of its own.
function _M.get_plugin_params(plugin_name, config, queue_name)
  local conf = {}
  for key, value in pairs(config.queue or {}) do
    conf[key] = value
  end
  local id = queue_name or config.__plugin_id or config.__key__ or tostring(config)
  conf.name = plugin_name .. ":" .. id
  conf.log_tag = conf.log_tag or plugin_name
  return conf
end

--- Is there a queue of that name with entries?
function _M.exists(name)
  return queues[name] ~= nil
end

local function option(queue, name)
  local value = queue.conf[name]
  if value == nil then
    return DEFAULTS[name]
  end
  return value
end

local function take_batch(queue)
  local batch, n = {}, math.min(option(queue, "max_batch_size"), queue.last - queue.first + 1)
  for i = 1, n do
    batch[i] = queue.entries[queue.first]
    queue.entries[queue.first] = nil
    queue.first = queue.first + 1
  end
  return batch
end

-- Hands a batch over until the handler takes it or its time is up. A handler that raises has failed: the
-- queue must outlive it, hence the pcall.
local function send(queue, batch, is_last)
  local began, delay = node.mono(), option(queue, "initial_retry_delay")
  while true do
    local called, ok, err = pcall(queue.handler, queue.handler_conf, batch)
    if called and ok then
      return
    end
    local why = tostring(called and err or ok)
    if is_last or node.mono() - began + delay > option(queue, "max_retry_time") then
      say(queue, LOG_ERR, ("%d entries are lost: %s"):format(#batch, why))
      return
    end
    say(queue, LOG_WARN, ("handler could not process entries, trying again in %g s: %s"):format(delay, why))
    wait.sleep(delay)
    delay = math.min(delay * 2, option(queue, "max_retry_delay"))
  end
end

local function drain(premature, queue)
  if queue.sending then
    return
  end
  queue.sending, queue.scheduled = true, false
  while queue.first <= queue.last do
    send(queue, take_batch(queue), premature)
  end
  queue.sending = false
  queues[queue.name] = nil
end

local function schedule(queue, delay)
  if queue.sending or queue.scheduled and delay > 0 then
    return true
  end
  queue.scheduled = true
  return wait.timer_at(delay, drain, queue)
end

local function queue_for(conf, handler, handler_conf)
  local queue = queues[conf.name]
  if not queue then
    queue = { name = conf.name, entries = {}, first = 1, last = 0 }
    queues[conf.name] = queue
  end
  queue.conf, queue.handler, queue.handler_conf = conf, handler, handler_conf
  return queue
end

-- Makes room for one more; says so once for each spell of fullness.
local function make_room(queue)
  if queue.last - queue.first + 1 < option(queue, "max_entries") then
    queue.full = false
    return
  end
  queue.entries[queue.first] = nil
  queue.first = queue.first + 1
  if not queue.full then
    queue.full = true
    say(queue, LOG_ERR, "queue full, dropping old entries until processing is successful again")
  end
end

--- Appends an entry; handler(handler_conf, entries) -> true | nil, err gets it, later, in a timer.
-- conf: name, max_batch_size, max_coalescing_delay (s), max_entries, retry times (s). Returns true, or nil and why.
function _M.enqueue(conf, handler, handler_conf, entry)
  if type(conf) ~= "table" or type(conf.name) ~= "string" then
    error("arg #1 (queue_conf) must be a table with a name", 2)
  elseif type(handler) ~= "function" then
    error("arg #2 (handler) must be a function", 2)
  end
  if entry == nil then
    return nil, "entry must be a non-nil Lua value"
  end
  local queue = queue_for(conf, handler, handler_conf)
  make_room(queue)
  queue.last = queue.last + 1
  queue.entries[queue.last] = entry
  local is_full = queue.last - queue.first + 1 >= option(queue, "max_batch_size")
  local ok, err = schedule(queue, is_full and 0 or option(queue, "max_coalescing_delay"))
  if not ok then
    say(queue, LOG_INFO, "no timer: " .. tostring(err))
    return nil, err
  end
  return true
end

return _M
