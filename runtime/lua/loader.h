// Configuration files -> the document that generation_create takes: reads the files, and runs lualib/config/loader.lua on them
// in a Lua state of its own. One loader for `config validate`, start and reload. Not the YAML reader (config/yaml.h), no rules of
// configuration (lualib/config). Blocks: for the master, a command, or a pool thread, never a worker's loop.
#pragma once

#include "core/load.h"

typedef struct loader_input {
    const settings_t *settings; // config_paths, plugin_dirs, lua_path
    const char *share;          // directory with lualib/ and plugins/
    str_t known;                // see load_t
    bool bare;
    str_t posted; // see load_t
} loader_input_t;

typedef struct loader_result {
    buf_t document; // JSON; empty when there are errors
    buf_t admin;    // see load_t
    buf_t
        problems; // one line for each: "kong.yaml:12:9: services[0].port: expected an integer (cure)"
    buf_t facts; // see load_t
    uint32_t errors, warnings;
} loader_result_t;

// A path of config_paths is a file, or a directory whose *.yaml, *.yml and *.json are read in byte order; names with a leading dot
// are not, nor gateway.yaml (the node's settings), nor directories in it, but for plugins/, which may hold plugins. A Kubernetes volume is
// read in one state of it; plain files that change meanwhile are read again.
// LOAD_DONE with a document and perhaps warnings, LOAD_INVALID with at least one error, or see load_outcome_t. *out is filled and owned in
// all cases; dispose of it.
load_outcome_t loader_run(const loader_input_t *in, loader_result_t *out);
void loader_result_dispose(loader_result_t *r);

// The same in the shape that core asks for, with lua_share().
load_outcome_t loader_load(load_t *l);
