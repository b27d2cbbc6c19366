-- The node: clocks, identity, log, randomness, settings, metrics. Needs no request but where said.

local c = require "moongate.abi.c"

local C, native = c.C, c.native

local _M = {}

-- Wall clock in seconds, as of the start of this turn of the loop (update_time reads it anew).
function _M.now()
  return C.mg_now()
end

-- Monotonic seconds, read now.
function _M.mono()
  return C.mg_mono()
end

function _M.update_time()
  C.mg_update_time()
end

-- Would a line of this level (ngx.log's numbers) be written?
function _M.log_wants(level)
  return C.mg_log_wants(level) == 1
end

_M.log = native.log                   -- log(level, text); the request's id is added to the line
_M.worker_id = native.worker_id       -- 0-based
_M.worker_pid = native.worker_pid
_M.worker_pids = native.worker_pids   -- array: the workers that run
_M.worker_count = native.worker_count
_M.exiting = native.exiting
_M.exit_time = native.exit_time       -- seconds until what waits is cancelled; nil: the worker goes on
_M.node_id = native.node_id           -- uuid, the same in all workers until restart
_M.hostname = native.hostname
_M.version = native.version
_M.prefix = native.prefix
_M.share = native.share
_M.random_bytes = native.random_bytes
_M.uuid = native.uuid                 -- version 4
_M.setting = native.setting           -- setting(name) -> value or nil
_M.getenv = os.getenv
_M.memory = native.memory             -- bytes of this worker's Lua heap
_M.serialize = native.serialize       -- the request's log record, JSON text
_M.set_log_fields = native.set_log_fields -- JSON object text merged into the record
_M.metrics_render = native.metrics_render
_M.connections = native.connections   -- {accepted=, handled=, active=, reading=, writing=, waiting=, requests=}

return _M
