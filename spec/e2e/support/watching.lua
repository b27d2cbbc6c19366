-- What specs of reloads share: a gateway on files of the spec's own, texts of configurations and plugins, and waiting for
-- what the status listener says. Not how volumes are written (volume.lua).
-- Invariant: finish() stops the gateway, checked, and removes the files.

local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")
local stat = require("posix.sys.stat")
local stdlib = require("posix.stdlib")
local volume = require("e2e.support.volume")

local M = {}

-- A route that answers with a text.
local ROUTE = [[
_format_version: "3.0"
services:
- name: %s
  url: http://127.0.0.1:9
  routes:
  - {name: %s, paths: ["/%s"]}
  plugins:
  - {name: request-termination, config: {status_code: 200, message: "%s"}}
]]

function M.answering(name, text)
  return ROUTE:format(name, name, name, text)
end

M.SCHEMA = [[
return { name = "%s", fields = { { config = { type = "record", fields = { { text = { type = "string" } } } } } } }
]]

-- A plugin that answers with its code's word and its configuration's text.
M.HANDLER = [[
local M = { PRIORITY = 1, VERSION = "1.0.0" }
function M:access(conf)
  kong.response.exit(200, "%s " .. tostring(conf.text))
end
return M
]]

function M.plugin(files, name, word)
  files["plugins/" .. name .. "/handler.lua"] = M.HANDLER:format(word)
  files["plugins/" .. name .. "/schema.lua"] = M.SCHEMA:format(name)
  return files
end

local Site = {}
Site.__index = Site

-- A directory for files; the gateway is started by start() or serve_volume().
function M.new()
  local root = assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-watch-XXXXXX"))
  stat.chmod(root, 493)
  return setmetatable({ root = root }, Site)
end

function Site:finish()
  local ok, why = true, nil
  if self.gw then
    ok, why = pcall(self.gw.stop, self.gw)
  end
  volume.remove(self.root)
  assert(ok, why)
end

-- Polls so rarely that only inotify can be what noticed a change.
function Site:start(opts)
  opts.settings = opts.settings or {}
  opts.settings.watch_interval = opts.settings.watch_interval or "60s"
  opts.settings.keepalive_requests = 1000000 -- some specs ask on one connection all the time
  self.gw = gateway.start(opts)
  self.gw:wait_log("serving")
  return self.gw
end

-- Starts the gateway on a volume with these files; the volume.
function Site:serve_volume(files, opts)
  local vol = volume.create(self.root .. "/vol")
  vol:write(files)
  opts = opts or {}
  opts.config_dir = vol.path
  self:start(opts)
  return vol
end

function Site:reloads(result)
  return self.gw:metrics()['moongate_config_reloads_total{result="' .. result .. '"}']
end

-- Waits for the n-th reload with this result; one more is an error.
function Site:wait_reloads(result, n)
  local count = 0
  sched.wait_until(function()
    local ok, seen = pcall(self.reloads, self, result) -- a worker that is killed takes its connections along
    count = ok and seen or count
    return count >= n
  end, 10 * sched.slow, function()
    return ("not %d reloads with result %s:\n%s"):format(n, result, self.gw:errors())
  end)
  if count ~= n then
    error(("%d reloads with result %s instead of %d:\n%s"):format(count, result, n, self.gw:errors()), 2)
  end
end

-- What GET /status says of the configuration.
function Site:config()
  return client.get(self.gw:status(), "/status"):json().config
end

-- The answer's message, its text, or its status when that is not 200.
function Site:says(path)
  local response = client.get(self.gw, path)
  return response.status == 200 and (response.body:match('"message":%s*"([^"]*)"') or response.body) or response.status
end

function Site:wait_says(text, path)
  sched.wait_until(function()
    return self:says(path) == text
  end, 10 * sched.slow, function()
    return ("%s is %s, not %s:\n%s"):format(path, self:says(path), text, self.gw:errors())
  end)
end

return M
