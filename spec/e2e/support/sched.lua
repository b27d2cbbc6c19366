-- Coroutines over select(): fake upstreams, clients and waits of one spec run in one process.
-- Not a general event loop: one spec's few sockets, limits on every wait.
-- Invariant: outside a task a wait drives the loop itself, so spec bodies are plain code; an error
-- in a task is raised at the next wait of the spec's body.

local socket = require("socket")

local M = {}

-- Sanitizers and slow machines stretch every limit.
M.slow = tonumber(os.getenv("SLOW") or "") or 1
M.limit = 5 * M.slow

local tasks = {} -- array of {co, wait = {read|write|ready, deadline}}
local current -- the task being resumed, nil in the spec's body
local failure -- first error of a task

M.now = socket.gettime

local function resume(task, result)
  local outer = current
  current = task
  local ok, wait = coroutine.resume(task.co, result)
  current = outer
  task.wait = ok and wait or nil
  if coroutine.status(task.co) == "dead" then
    task.dead = true
    if not ok and not failure then
      failure = debug.traceback(task.co, tostring(wait))
    end
  end
end

local function collect(wait, reads, writes)
  if wait.read then
    reads[#reads + 1] = wait.read
  elseif wait.write then
    writes[#writes + 1] = wait.write
  end
end

-- True when the wait is over; second value: what the waiter gets ("ready" or "timeout").
local function over(wait, readable, writable, now)
  if (wait.read and readable[wait.read]) or (wait.write and writable[wait.write]) then
    return true, "ready"
  end
  if wait.ready and wait.ready() then
    return true, "ready"
  end
  return now >= wait.deadline, "timeout"
end

local function pause(waits)
  local now, timeout = M.now(), 1
  for _, wait in ipairs(waits) do
    timeout = math.min(timeout, wait.deadline - now)
    if wait.ready then
      timeout = math.min(timeout, 0.002)
    end
  end
  return math.max(timeout, 0)
end

-- One turn of the loop; `own` is the body's wait. Returns its result when it is over.
local function turn(own)
  local reads, writes, waits = {}, {}, { own }
  for _, task in ipairs(tasks) do
    waits[#waits + 1] = task.wait
  end
  for _, wait in ipairs(waits) do
    collect(wait, reads, writes)
  end
  local readable, writable = socket.select(reads, writes, pause(waits))
  local now = M.now()
  local batch = tasks
  tasks = {}
  for _, task in ipairs(batch) do
    local done, result = over(task.wait, readable, writable, now)
    if done then
      resume(task, result)
    end
    if not task.dead then
      tasks[#tasks + 1] = task
    end
  end
  local done, result = over(own, readable, writable, now)
  return done and result
end

local function raise_failure()
  if failure then
    local text = failure
    failure = nil
    error("in a task: " .. text, 0)
  end
end

local function await(wait)
  if current then
    return coroutine.yield(wait)
  end
  repeat
    raise_failure()
    local result = turn(wait)
    if result then
      raise_failure()
      return result
    end
  until false
end

local function deadline(limit)
  return M.now() + (limit or M.limit)
end

-- Waits until the socket can be read or written. True, or nil, "timeout".
function M.readable(sock, limit)
  if await({ read = sock, deadline = deadline(limit) }) == "ready" then
    return true
  end
  return nil, "timeout"
end

function M.writable(sock, limit)
  if await({ write = sock, deadline = deadline(limit) }) == "ready" then
    return true
  end
  return nil, "timeout"
end

function M.sleep(seconds)
  await({ deadline = M.now() + seconds })
end

-- Waits until fn() is true and returns its value; raises after `limit` seconds, saying `what`.
function M.wait_until(fn, limit, what)
  local value
  local function ready()
    value = fn()
    return value
  end
  if not ready() and await({ ready = ready, deadline = deadline(limit) }) ~= "ready" then
    local why = what and (": " .. (type(what) == "function" and what() or what)) or ""
    error(("condition did not hold within %.1f s%s"):format(limit or M.limit, why), 2)
  end
  return value
end

-- Starts fn(...) as a task; it runs at once until it waits. The task has :join(limit).
function M.spawn(fn, ...)
  local args, n = { ... }, select("#", ...)
  local task = {}
  task.co = coroutine.create(function()
    task.value = fn(unpack(args, 1, n))
  end)
  task.join = function(self, limit)
    M.wait_until(function()
      return self.dead
    end, limit, "a task did not end")
    return self.value
  end
  resume(task)
  if not task.dead then
    tasks[#tasks + 1] = task
  end
  return task
end

function M.stop(task)
  task.dead = true
  for i, other in ipairs(tasks) do
    if other == task then
      table.remove(tasks, i)
      return
    end
  end
end

-- Runs fn as a task and waits for its end: its value, or its error.
function M.run(fn, limit)
  return M.spawn(fn):join(limit or 6 * M.limit)
end

return M
