// A Lua module as the main program of a worker-like process: `moongate test`, `moongate plugin`. It has the event loop, the
// modules and the globals that plugins have; it serves nothing until it opens a gateway in its own process.
// Not a gateway for users (core/master.h).
#pragma once

#include "config/settings.h"

// Requires `module`, calls the function it returned as fn(program, argc strings...) in a task that may wait, and turns the loop
// until that has called program.done(code). `program` is the table of program.c. The process's exit code; 1 when it could not start
// (the cause is on stderr). lua_set_share comes first. Where plugins and modules are found is taken from `from` (config_paths, plugin_dirs,
// lua_path; borrowed; NULL: only ours).
int program_run(const char *module, int argc, char **argv, const settings_t *from);
