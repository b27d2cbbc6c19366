// A Lua module as the main program of a worker-like process: `moongate test`, `moongate plugin`. It has the event loop, the
// modules and the globals that plugins have; it serves nothing until it opens a gateway in its own process.
// Not a gateway for users (core/master.h).
#pragma once

// Requires `module`, calls the function it returned as fn(program, argc strings...) in a task that may wait, and turns the loop
// until that has called program.done(code). `program` is the table of program.c. The process's exit code; 1 when it could not start
// (the cause is on stderr). lua_set_share comes first.
int program_run(const char *module, int argc, char **argv);
