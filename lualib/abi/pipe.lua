-- Programs: spawn(args, environ, merge_stderr) -> a C object with read(stream, kind[, n]), write(text), wait(), pid(),
-- kill(signum), shutdown(stream), set_timeouts(write, stdout, stderr, wait). ngx/pipe gives it OpenResty's interface.

local native = require("moongate.abi.c").native

return {
  spawn = native.pipe_spawn,
  -- May this worker's plugins start programs?
  allowed = function()
    return native.setting("lua_pipe") == true
  end,
}
