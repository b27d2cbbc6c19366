-- Starts, watches and stops a real gateway for a spec: its own directory, ports and logs.
-- Invariant: stop() fails the spec when the gateway did not exit with 0, when its error log holds a line of
-- level error or worse the spec did not expect (gw:expect_error), or when a sanitizer spoke.

local sched = require("e2e.support.sched")
local process = require("e2e.support.process")
local upstream = require("e2e.support.upstream")
local client = require("e2e.support.client")
local conn = require("e2e.support.conn")
local cjson = require("cjson")
local stdlib = require("posix.stdlib")
local stat = require("posix.sys.stat")

local Gateway = {}
Gateway.__index = Gateway

local M = {}

M.program = os.getenv("MOONGATE_BIN") or "build/moongate"

local BAD = { error = true, crit = true, alert = true, emerg = true }
local SANITIZER = { "ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "assertion failed" }

local function read_file(path)
  local handle = io.open(path)
  if not handle then
    return ""
  end
  local text = handle:read("*a")
  handle:close()
  return text
end

local function write_file(path, text)
  local handle = assert(io.open(path, "w"))
  handle:write(text)
  handle:close()
end

local function write_config(dir, config)
  stat.mkdir(dir)
  if type(config) == "string" then
    config = { ["kong.yaml"] = config }
  end
  for name, text in pairs(config or {}) do
    for parent in name:gmatch("()/") do
      stat.mkdir(dir .. "/" .. name:sub(1, parent - 1))
    end
    write_file(dir .. "/" .. name, text)
  end
end

local function environment(self, opts)
  local env = {
    MOONGATE_PROXY_LISTEN = self.host .. ":" .. self.port,
    MOONGATE_STATUS_LISTEN = "127.0.0.1:" .. self.status_port,
    MOONGATE_ADMIN_LISTEN = "off",
    MOONGATE_WORKERS = opts.workers or 1,
    MOONGATE_PREFIX = self.dir .. "/prefix",
    MOONGATE_LOG_LEVEL = "info",
    MOONGATE_ACCESS_LOG = self.dir .. "/access.log",
    MOONGATE_ERROR_LOG = self.dir .. "/error.log",
  }
  if opts.tls then
    self.tls_port = upstream.refused_port()
    env.MOONGATE_PROXY_LISTEN = ("%s, %s:%d ssl"):format(env.MOONGATE_PROXY_LISTEN, self.host, self.tls_port)
  end
  if opts.admin then
    self.admin_port = upstream.refused_port()
    env.MOONGATE_ADMIN_LISTEN = "127.0.0.1:" .. self.admin_port .. (opts.admin == "ssl" and " ssl" or "")
  end
  for name, value in pairs(opts.settings or {}) do
    env["MOONGATE_" .. name:upper()] = value
  end
  for name, value in pairs(opts.env or {}) do
    env[name] = value
  end
  self.listening = {}
  self.listening[#self.listening + 1] = self.tls_port
  self.listening[#self.listening + 1] = self.admin_port
  if env.MOONGATE_STATUS_LISTEN == "127.0.0.1:" .. self.status_port then
    self.listening[#self.listening + 1] = self.status_port
  end
  return env
end

-- opts: config (YAML text, or {["file name"] = text}), settings ({proxy_listen = ...} becomes
-- MOONGATE_PROXY_LISTEN), env, workers (1), config_dir (a path that is there; instead of config), program,
-- args (after `start -c DIR`), tls (adds self.tls_port), admin (true or "ssl": adds self.admin_port). config false: none is named.
function M.start(opts)
  opts = opts or {}
  local dir = assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-e2e-XXXXXX"))
  local self = setmetatable({ dir = dir, expected = {}, host = "127.0.0.1" }, Gateway)
  self.port, self.status_port = upstream.refused_port(), upstream.refused_port()
  stat.mkdir(dir .. "/prefix")
  self.config_dir = opts.config_dir or dir .. "/conf"
  if not opts.config_dir and opts.config ~= false then
    write_config(self.config_dir, opts.config)
  end
  local args = { "start", "-c", self.config_dir }
  if opts.config == false then
    args = { "start" }
  end
  for _, arg in ipairs(opts.args or {}) do
    args[#args + 1] = arg
  end
  self.process = process.start({
    program = opts.program or M.program,
    args = args,
    env = environment(self, opts),
    stdout = dir .. "/stdout",
    stderr = dir .. "/stderr",
  })
  if opts.wait ~= false then
    local ok, err = pcall(self.wait_ready, self)
    if not ok then
      self:kill()
      error(err, 2)
    end
  end
  return self
end

-- Runs `moongate ARGS` to its end (start -t, version ...): {code, output}.
function M.command(args, opts)
  opts = opts or {}
  local dir = assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-cmd-XXXXXX"))
  if opts.config then
    write_config(dir .. "/conf", opts.config)
    args = { unpack(args) }
    args[#args + 1] = "-c"
    args[#args + 1] = dir .. "/conf"
  end
  local child = process.start({
    program = M.program,
    args = args,
    env = opts.env,
    stdout = dir .. "/output",
    stderr = dir .. "/output",
  })
  local how, code = child:wait(opts.limit or 10 * sched.slow)
  local output = read_file(dir .. "/output")
  os.execute("rm -rf " .. dir)
  return { how = how, code = code, output = output, dir = dir }
end

function Gateway:wait_ready(limit)
  sched.wait_until(function()
    if not self.process:alive() then
      error("the gateway did not start:\n" .. self:errors(), 0)
    end
    -- The last one bound tells that all are.
    for _, port in ipairs({ self.port, unpack(self.listening) }) do -- specs may change the first meanwhile
      local c = conn.connect(self.host, port)
      if not c then
        return false
      end
      c:close()
    end
    return true
  end, limit or 10 * sched.slow, function()
    return "the gateway does not listen:\n" .. self:errors()
  end)
end

-- Replaces configuration files (not the others).
function Gateway:write_config(config)
  write_config(self.config_dir, config)
end

-- Everything it said: error log, stderr, stdout.
function Gateway:errors()
  return read_file(self.dir .. "/error.log") .. read_file(self.dir .. "/stderr") .. read_file(self.dir .. "/stdout")
end

-- Access log entries so far, as tables.
function Gateway:access_log()
  local entries = {}
  for line in read_file(self.dir .. "/access.log"):gmatch("([^\n]*)\n") do
    local ok, entry = pcall(cjson.decode, line)
    if not ok then
      error(("access log line is not JSON: %q"):format(line), 2)
    end
    entries[#entries + 1] = entry
  end
  return entries
end

-- Waits for the first access log entry for which match(entry) holds.
function Gateway:wait_access(match, limit)
  return sched.wait_until(function()
    for _, entry in ipairs(self:access_log()) do
      if match(entry) then
        return entry
      end
    end
    return nil
  end, limit, function()
    return "no such access log entry in:\n" .. read_file(self.dir .. "/access.log")
  end)
end

-- Waits until the error log holds a Lua pattern; returns the line.
function Gateway:wait_log(pattern, limit)
  return sched.wait_until(function()
    for line in self:errors():gmatch("[^\n]+") do
      if line:find(pattern) then
        return line
      end
    end
    return nil
  end, limit, function()
    return ("%q is not in the log:\n%s"):format(pattern, self:errors())
  end)
end

-- Log lines of level error or worse that match this pattern do not fail the spec.
function Gateway:expect_error(pattern)
  table.insert(self.expected, pattern)
end

function Gateway:signal(name)
  self.process:signal(name)
end

-- Asks for a reload and waits until the gateway says it is done or refused.
function Gateway:reload(config, pattern)
  local before = #self:errors()
  if config then
    self:write_config(config)
  end
  self:signal("HUP")
  sched.wait_until(function()
    return self:errors():sub(before + 1):find(pattern or "reload")
  end, nil, function()
    return "no word of the reload in:\n" .. self:errors():sub(before + 1)
  end)
end

-- A listener that is not the proxy's, for client.request.
function Gateway:status()
  return { host = "127.0.0.1", port = self.status_port }
end

-- {["name{labels}"] = number} from the status listener.
function Gateway:metrics()
  local response = client.get(self:status(), "/metrics")
  local values = {}
  for line in response.body:gmatch("[^\n]+") do
    local name, value = line:match("^([^#%s]%S*{?.-}?) ([%d%.eE+-]+)$")
    if name then
      values[name] = tonumber(value)
    end
  end
  return values
end

local function unexpected(self)
  local lines = {}
  for line in self:errors():gmatch("[^\n]+") do
    local level = line:match("%[(%l+)%]")
    local bad = BAD[level]
    for _, pattern in ipairs(self.expected) do
      bad = bad and not line:find(pattern)
    end
    for _, mark in ipairs(SANITIZER) do
      bad = bad or line:find(mark, 1, true)
    end
    if bad then
      lines[#lines + 1] = line
    end
  end
  return lines
end

-- Ends it at once, unchecked.
function Gateway:kill()
  self.stopped = true
  self.process:signal("KILL")
  self.process:wait()
  os.execute("rm -rf " .. self.dir)
end

-- Ends it (SIGTERM unless opts.signal) and checks how it ended; removes its directory when all is well.
function Gateway:stop(opts)
  opts = opts or {}
  if self.stopped then
    return
  end
  self.stopped = true
  self.process:signal(opts.signal or "TERM")
  local ok, how, code = pcall(self.process.wait, self.process, opts.limit or 15 * sched.slow)
  local text = self:errors()
  if not ok then
    error(how .. "\n" .. text, 2)
  end
  local bad = unexpected(self)
  if how ~= "exited" or code ~= (opts.code or 0) then
    error(("the gateway %s with %s\n%s"):format(how, tostring(code), text), 2)
  end
  if #bad > 0 then
    error("unexpected lines in the error log:\n" .. table.concat(bad, "\n") .. "\n" .. text:sub(-4000), 2)
  end
  os.execute("rm -rf " .. self.dir)
end

return M
