// Configuration files -> the document that generation_create takes: reads the files, and runs lualib/config/loader.lua on them
// in a Lua state of its own. One loader for `config validate`, start and reload. Not the YAML reader (config/yaml.h), no rules of
// configuration (lualib/config). Blocks: for the master, a command, or a pool thread, never a worker's loop.
#pragma once

#include "base/buf.h"
#include "config/settings.h"

typedef struct loader_input {
    const settings_t *settings; // config_paths, plugin_dirs, lua_path
    const char *share;          // directory with lualib/ and plugins/
} loader_input_t;

typedef struct loader_result {
    buf_t document; // JSON; empty when there are errors
    buf_t
        problems; // one line for each: "kong.yaml:12:9: services[0].port: expected an integer (cure)"
    uint32_t errors, warnings;
} loader_result_t;

// A path of config_paths is a file, or a directory whose *.yaml, *.yml and *.json are read in byte order; names with a leading dot
// are not, nor gateway.yaml (the node's settings), nor directories in it, but for plugins/, which may hold plugins. 0 with a document and perhaps warnings,
// or -1 with at least one error. *out is filled and owned in both cases; dispose of it.
int loader_run(const loader_input_t *in, loader_result_t *out);
void loader_result_dispose(loader_result_t *r);

// The same in the shape that core's control asks for, with lua_share(): 0 and the document appended, or -1; problems (warnings, too)
// are appended in both cases.
int loader_load(const settings_t *s, buf_t *document, buf_t *problems);
