// Which files the paths of a configuration name, and their bytes; private to loader.c.
#pragma once

#include "lua/loader.h"

typedef struct source_file {
    char *name; // as shown in messages; owned
    buf_t text;
} source_file_t;

typedef struct source_files {
    source_file_t *v;
    size_t n, cap;
} source_files_t;

// Reads all of them; what cannot be read becomes a problem in *out. The files read so far are in *files in any case.
void source_files_read(const settings_t *s, source_files_t *files, loader_result_t *out);
void source_files_dispose(source_files_t *files);

// Adds a line to the problems and counts it.
void loader_error(loader_result_t *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void loader_warning(loader_result_t *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
