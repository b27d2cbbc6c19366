// Reading configuration files and directories; see loader_files.h.
#include "lua/loader_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "config/yaml.h"

static void add_line(loader_result_t *out, const char *fmt, va_list ap)
{
    char line[PATH_MAX + 256];
    vsnprintf(line, sizeof line, fmt, ap);
    buf_printf(&out->problems, "%s\n", line);
}

void loader_error(loader_result_t *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_line(out, fmt, ap);
    va_end(ap);
    out->errors++;
}

void loader_warning(loader_result_t *out, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_line(out, fmt, ap);
    va_end(ap);
    out->warnings++;
}

static const char *cure_of(int error)
{
    if (error == ENOENT)
        return " (is the path right?)";
    return error == EACCES ? " (the gateway's user needs to read it)" : "";
}

static int read_text(const char *path, buf_t *text)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return errno;
    size_t n;
    while ((n = fread(buf_reserve(text, 65536), 1, 65536, f)) > 0) {
        buf_commit(text, n);
        if (text->n > YAML_BYTES_MAX)
            break;
    }
    int error = ferror(f) ? EIO : text->n > YAML_BYTES_MAX ? EFBIG : 0;
    fclose(f);
    return error;
}

static void read_source(source_files_t *files, const char *path, loader_result_t *out)
{
    buf_t text = {0};
    int error = read_text(path, &text);
    if (error) {
        loader_error(out, "%s: cannot be read: %s%s", path, strerror(error), cure_of(error));
        buf_dispose(&text);
        return;
    }
    if (files->n == files->cap) {
        files->cap = files->cap ? 2 * files->cap : 8;
        files->v = mem_realloc(files->v, files->cap * sizeof *files->v);
    }
    char *name = strdup(path);
    ASSERT(name != NULL, "out of memory");
    files->v[files->n++] = (source_file_t){.name = name, .text = text};
}

static int is_source_name(const struct dirent *entry)
{
    str_t name = str_from(entry->d_name);
    if (name.p[0] == '.' || str_eq(name, STR("gateway.yaml")))
        return 0;
    return str_ends(name, STR(".yaml")) || str_ends(name, STR(".yml")) ||
           str_ends(name, STR(".json"));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_directory(source_files_t *files, const char *path, loader_result_t *out)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, is_source_name, by_bytes);
    uint32_t read = 0;
    if (n < 0) {
        loader_error(out, "%s: cannot be listed: %s%s", path, strerror(errno), cure_of(errno));
        return;
    }
    for (int i = 0; i < n; i++) {
        char full[PATH_MAX];
        struct stat st;
        int length = snprintf(full, sizeof full, "%s/%s", path, entries[i]->d_name);
        bool is_directory = stat(full, &st) == 0 && S_ISDIR(st.st_mode);
        if (length >= (int)sizeof full)
            loader_error(out, "%s/%s: the path is too long", path, entries[i]->d_name);
        else if (!is_directory) {
            read_source(files, full, out);
            read++;
        }
        free(entries[i]);
    }
    free(entries);
    if (read == 0)
        loader_warning(out, "%s: warning: holds no .yaml, .yml or .json file", path);
}

void source_files_read(const settings_t *s, source_files_t *files, loader_result_t *out)
{
    if (s->n_config_paths == 0)
        loader_error(
            out, "no configuration: name a file or a directory with -c, or set config_paths");
    for (uint32_t i = 0; i < s->n_config_paths; i++) {
        char path[PATH_MAX];
        struct stat st;
        str_t given = s->config_paths[i];
        while (given.n > 1 && given.p[given.n - 1] == '/')
            given.n--;
        if (snprintf(path, sizeof path, "%.*s", STR_FMT(given)) >= (int)sizeof path)
            loader_error(out, "%.100s...: the path is too long", path);
        else if (stat(path, &st) != 0)
            loader_error(out, "%s: cannot be read: %s%s", path, strerror(errno),
                         cure_of(errno));
        else if (S_ISDIR(st.st_mode))
            read_directory(files, path, out);
        else
            read_source(files, path, out);
    }
    if (files->n == 0 && out->errors == 0)
        loader_error(
            out, "no configuration: none of the given paths holds a .yaml, .yml or .json file");
}

void source_files_dispose(source_files_t *files)
{
    for (size_t i = 0; i < files->n; i++) {
        free(files->v[i].name);
        buf_dispose(&files->v[i].text);
    }
    free(files->v);
    *files = (source_files_t){0};
}
