-- What only the process of the Admin API may do: have the master load a configuration, set the log level everywhere, write its
-- store. In any other process these raise.

local native = require("moongate.abi.c").native

return {
  -- load([text]) -> "done" | "unchanged" | "refused" | "busy", what the master says; nil, why. Waits for all workers. Without a
  -- text the files (or the store) are read again.
  load = native.admin_load,
  set_level = native.admin_set_level,             -- set_level("debug") -> true | nil, why
  level = native.log_level_name,                  -- "notice"
  status_json = native.status_json,               -- what /status of the status listener answers
  status_metrics = native.status_metrics,         -- the same for /metrics
  proxy_listeners = native.proxy_listeners,       -- {{address =, ssl =}, ...}
  replace_file = native.file_replace,             -- replace_file(path, text) -> true | nil, why; on the disk when it returns
}
