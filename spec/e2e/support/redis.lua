-- A real redis-server of one spec: a free loopback port, nothing on disk. Started, stopped, continued, killed.
-- Invariant: stop() is safe after any of these.

local process = require("e2e.support.process")
local sched = require("e2e.support.sched")
local conn = require("e2e.support.conn")
local upstream = require("e2e.support.upstream")
local stdlib = require("posix.stdlib")

local Redis = {}
Redis.__index = Redis

local M = {}

-- opts: port, args.
function M.start(opts)
  opts = opts or {}
  local dir = assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-redis-XXXXXX"))
  local self = setmetatable({ dir = dir, host = "127.0.0.1", port = opts.port or upstream.refused_port() }, Redis)
  self:run(opts.args)
  return self
end

function Redis:run(args)
  local all = { "--port", tostring(self.port), "--bind", self.host, "--save", "", "--appendonly", "no",
    "--dir", self.dir }
  for _, arg in ipairs(args or {}) do
    all[#all + 1] = arg
  end
  self.process = process.start({ program = "redis-server", args = all, stdout = self.dir .. "/log",
    stderr = self.dir .. "/log" })
  sched.wait_until(function()
    return self:command("PING") == "+PONG" or self:command("PING"):find("^%-NOAUTH")
  end, nil, "redis-server does not answer")
end

-- First line of the answer to an inline command, "" when there is none.
function Redis:command(line)
  local c = conn.connect(self.host, self.port)
  if not c then
    return ""
  end
  c:send(line .. "\r\n")
  while not c.buffer:find("\r\n", 1, true) do
    if not c:fill(1) then
      break
    end
  end
  c:close()
  return c.buffer:match("^(.-)\r\n") or ""
end

function Redis:signal(name)
  self.process:signal(name)
end

function Redis:kill()
  self.process:signal("KILL")
  self.process:wait()
end

function Redis:stop()
  if self.process:alive() then
    self.process:signal("CONT")
    self:kill()
  end
  os.execute("rm -rf " .. self.dir)
end

return M
