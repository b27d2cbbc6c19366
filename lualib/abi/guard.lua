-- What keeps plugins from hurting others, as C has it: rows of the plugins that may end a worker, functions that are never
-- compiled, whether what runs is being stopped. Not the rules (runloop/plan, runloop/confine).

local c = require "moongate.abi.c"

local native = c.native

return {
  running = c.C.mg_plugin_running(), -- [0] = row of the plugin that runs
  off = c.C.mg_plugin_off(),         -- [row] ~= 0: switched off
  row = native.quarantine_row,       -- row(name) -> number, 0: no room
  plain = native.plain,              -- plain(fn) -> fn, never part of compiled code
  stopped = native.stopped,          -- true while the watchdog ends what runs
}
