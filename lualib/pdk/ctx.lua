-- kong.ctx: tables of the request: `shared` by all plugins, `plugin` for the one that runs.
-- Not ngx.ctx. Invariant: nothing is kept here beyond a read; abi/task owns the tables.

local task = require("moongate.abi.task")
local phases = require("moongate.pdk.phases")

local check, CONNECTION = phases.check, phases.CONNECTION
local get_shared, get_plugin, set_shared = task.get_shared, task.get_plugin, task.set_shared

-- kong.ctx.shared: a table of the request. phases: certificate to log.
-- kong.ctx.plugin: a table of the request for this plugin alone. phases: certificate to log.
return setmetatable({}, {
  __index = function(_, key)
    if key == "plugin" then
      check(CONNECTION)
      return get_plugin() or error("kong.ctx.plugin exists only while a plugin runs", 2)
    elseif key == "shared" then
      check(CONNECTION)
      return get_shared()
    end
  end,
  -- A field of this table would be every request's.
  __newindex = function(_, key, value)
    if key ~= "shared" or type(value) ~= "table" then
      error("cannot set kong.ctx." .. tostring(key) .. ": set a field of kong.ctx.shared or kong.ctx.plugin", 2)
    end
    check(CONNECTION)
    set_shared(value)
  end,
  __metatable = false,
})
