-- ngx.worker: this process.

local node = require "moongate.abi.node"

local _M = {}

function _M.fill(ngx)
  ngx.worker = {
    id = node.worker_id,
    pid = node.worker_pid,
    count = node.worker_count,
    exiting = node.exiting,
    pids = node.worker_pids,
  }
end

return _M
