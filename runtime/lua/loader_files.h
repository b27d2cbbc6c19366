// Which files a configuration consists of, and their bytes: documents and plugins' code; private to loader*.c.
// Invariant: what is read through one volumes_t is one state of the files, as long as volumes_changed says no.
#pragma once

#include "config/volume.h"
#include "lua/loader.h"

typedef struct source_file {
    char *name; // as shown in messages; owned
    char *key;  // code: "my-plugin/handler.lua"; owned, NULL for documents
    buf_t text;
    char digest[65]; // SHA-256 of text
} source_file_t;

typedef struct source_files {
    source_file_t *v;
    size_t n, cap;
    size_t bytes;
    bool late; // something in a volume was missing or not ours yet: worth another try
    bool none; // there is no file yet: the one document is the empty configuration
} source_files_t;

// Reads all documents; what cannot be read becomes a problem in *out. The files read so far are in *files in any case.
void source_files_read(const settings_t *s, volumes_t *v, source_files_t *files,
                       loader_result_t *out);
// Adds the empty configuration: for a start before the first configuration has come.
void source_files_empty(source_files_t *files);
// Reads the Lua files of plugins from plugin_dirs, `plugins/` in or beside each configuration path, but for the gateway's own
// (<share>/plugins). The first file of a key counts (loader_code.c).
void source_code_read(const loader_input_t *in, volumes_t *v, source_files_t *files,
                      loader_result_t *out);
void source_files_dispose(source_files_t *files);
// Adds a document that is no file.
void source_files_add(source_files_t *files, const char *name, str_t text);

// For both: reads what fd has (taken) and adds it. 0 or an errno.
int source_files_take(source_files_t *files, int fd, const char *name, const char *key,
                      bool regular_only);
// Reads until the end of a descriptor, at most `max` bytes. 0 or an errno.
int source_read_fd(int fd, size_t max, buf_t *text);
// Hexadecimal SHA-256.
void source_digest(str_t text, char out[65]);

// Adds a line to the problems and counts it.
void loader_error(loader_result_t *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void loader_warning(loader_result_t *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
