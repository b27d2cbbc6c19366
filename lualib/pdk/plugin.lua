-- kong.plugin: the plugin that runs.

local task = require("moongate.abi.task")
local phases = require("moongate.pdk.phases")

local check, PLUGIN = phases.check, phases.PLUGIN

local _M = {}

--- The id of the plugin entity that runs, or nil. phases: rewrite to log.
function _M.get_id()
  check(PLUGIN)
  local record = task.current()
  return record and record.id
end

return _M
