-- What a spec of a plugin requires: a gateway, fake upstreams, clients, plugins run without network, a
-- clock. For specs run by `moongate test`; docs/plugin-tutorial.md shows all of it.
-- Example: local gw = require "moongate.spec"

local client = require "moongate.spec.client"
local gateway = require "moongate.spec.gateway"
local host = require "moongate.spec.host"
local logs = require "moongate.spec.logs"
local unit = require "moongate.spec.unit"
local upstream = require "moongate.spec.upstream"

local _M = {}

--- A gateway in this process. See gateway.lua.
_M.start = gateway.start

--- A fake upstream. See upstream.lua.
_M.upstream = upstream.start

--- A client of the gateway that runs; opts: port and host of something else, tls, sni, timeout_ms.
function _M.client(opts)
  opts = opts or {}
  if opts.port then
    return client.new(opts.host or "127.0.0.1", opts.port, opts)
  end
  local current = gateway.current()
  if not current then
    error("gw.client: no gateway runs (gw.start comes first)", 2)
  end
  return current:client(opts)
end

--- A plugin to be run phase by phase against made-up requests. See unit.lua.
_M.plugin = unit.plugin

--- Time as unit mode sees it: freeze([at]), advance(seconds), now(), release().
_M.clock = unit.clock

--- Lines of the process's error log so far, or since a mark.
function _M.logs(mark)
  return logs.since(mark or 0)
end

--- Directories that hold plugins under test.
_M.add_plugin_dir = host.add_plugin_dir

--- Waits until fn() is true, at most timeout_s (5); raises with `what` otherwise. Returns what fn returned.
function _M.wait_until(fn, timeout_s, what)
  local ends = ngx.now() + (timeout_s or 5)
  while true do
    local value = fn()
    if value then
      return value
    end
    ngx.update_time()
    if ngx.now() >= ends then
      error("waited " .. (timeout_s or 5) .. " s in vain" .. (what and ": " .. what or ""), 2)
    end
    ngx.sleep(0.005)
  end
end

return _M
