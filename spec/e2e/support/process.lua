-- Child processes of specs: started with an environment and files for their output, signalled,
-- waited for. Not a shell.
-- Invariant: a child is told to die when the spec runner dies (setpriv --pdeathsig).

local sched = require("e2e.support.sched")
local unistd = require("posix.unistd")
local fcntl = require("posix.fcntl")
local signal = require("posix.signal")
local stdlib = require("posix.stdlib")
local syswait = require("posix.sys.wait")

local Process = {}
Process.__index = Process

local M = {}

local function redirect(path, target)
  local flags = fcntl.O_WRONLY + fcntl.O_CREAT + fcntl.O_APPEND
  local fd = assert(fcntl.open(path, flags, 420))
  unistd.dup2(fd, target)
end

local function exec(opts)
  for fd = 3, 255 do
    unistd.close(fd)
  end
  redirect(opts.stdout, 1)
  redirect(opts.stderr, 2)
  for name, value in pairs(opts.env or {}) do
    stdlib.setenv(name, value ~= false and tostring(value) or nil)
  end
  if opts.dir then
    unistd.chdir(opts.dir)
  end
  local args = { "--pdeathsig", "TERM", "--", opts.program }
  for _, arg in ipairs(opts.args or {}) do
    args[#args + 1] = arg
  end
  local _, err = unistd.execp("setpriv", args)
  io.stderr:write("cannot start ", opts.program, ": ", tostring(err), "\n")
  unistd._exit(127)
end

-- opts: program, args, env, dir, stdout, stderr (paths).
function M.start(opts)
  local pid = assert(unistd.fork())
  if pid == 0 then
    local ok, err = pcall(exec, opts)
    io.stderr:write("child: ", tostring(ok), tostring(err), "\n")
    unistd._exit(127)
  end
  return setmetatable({ pid = pid, program = opts.program }, Process)
end

-- Runs fn in a process of its own, which must not use sched: its tasks are the parent's.
function M.fork(fn)
  local pid = assert(unistd.fork())
  if pid == 0 then
    local ok, err = pcall(fn)
    if not ok then
      io.stderr:write("child: ", tostring(err), "\n")
    end
    unistd._exit(ok and 0 or 1)
  end
  return setmetatable({ pid = pid, program = "a function" }, Process)
end

-- True while it runs; afterwards self.how ("exited" or "killed") and self.code are set.
function Process:alive()
  if self.how then
    return false
  end
  local pid, how, code = syswait.wait(self.pid, syswait.WNOHANG)
  if pid == self.pid and how ~= "running" then
    self.how, self.code = how, code
    return false
  end
  return true
end

-- name: "TERM", "HUP", ...
function Process:signal(name)
  if self:alive() then
    signal.kill(self.pid, signal["SIG" .. name])
  end
end

-- Waits for its end: how, code. Kills it and raises after the limit.
function Process:wait(limit)
  local ok = pcall(sched.wait_until, function()
    return not self:alive()
  end, limit)
  if not ok then
    signal.kill(self.pid, signal.SIGKILL)
    sched.wait_until(function()
      return not self:alive()
    end)
    error(("%s did not end within its limit and was killed"):format(self.program), 2)
  end
  return self.how, self.code
end

-- Process ids of its children.
function Process:children()
  local handle = io.open(("/proc/%d/task/%d/children"):format(self.pid, self.pid))
  local pids = {}
  if handle then
    for pid in handle:read("*a"):gmatch("%d+") do
      pids[#pids + 1] = tonumber(pid)
    end
    handle:close()
  end
  return pids
end

-- Number of open descriptors of a process.
function M.open_files(pid)
  local n = 0
  for _ in require("posix.dirent").files("/proc/" .. pid .. "/fd") do
    n = n + 1
  end
  return n - 2 -- "." and ".."
end

local function resident_kb(pid)
  local file = assert(io.open("/proc/" .. pid .. "/statm"))
  local _, pages = file:read("*n", "*n")
  file:close()
  return pages * 4
end

-- What it and its children hold: {files = open descriptors, kb = resident memory of the children}.
function Process:sizes()
  local sum = { files = M.open_files(self.pid), kb = 0 }
  for _, pid in ipairs(self:children()) do
    sum.files, sum.kb = sum.files + M.open_files(pid), sum.kb + resident_kb(pid)
  end
  return sum
end

return M
