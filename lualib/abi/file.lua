-- Lines for log files: gathered in C, written by another thread, dropped and counted when the disk
-- does not keep up.

local native = require("moongate.abi.c").native

return {
  -- append(path, line[, follow]) -> true | nil, why. follow: a file that was moved is made anew.
  append = native.file_append,
}
