// Reading configuration files and directories; see loader_files.h.
#include "lua/loader_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "config/yaml.h"
#include "io/crypto.h"

// ---- problems ----

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
    switch (error) {
    case ENOENT:
        return " (is the path right?)";
    case EACCES:
        return " (the gateway's user needs to read it)";
    case EXDEV:
    case ELOOP:
        return " (it is a link that leads out of its directory; put the file itself there)";
    case EINVAL:
        return " (it is no regular file)";
    default:
        return "";
    }
}

// ---- bytes ----

void source_digest(str_t text, char out[65])
{
    unsigned char bytes[DIGEST_MAX];
    size_t n = crypto_digest("sha256", text, bytes);
    ASSERT(n == 32, "OpenSSL has SHA-256");
    for (size_t i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

int source_read_fd(int fd, size_t max, buf_t *text)
{
    for (;;) {
        ssize_t n = read(fd, buf_reserve(text, 65536), 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return 0;
        buf_commit(text, (size_t)n);
        if (text->n > max)
            return EFBIG;
    }
}

static char *copy_of(const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    ASSERT(copy || !text, "out of memory");
    return copy;
}

// text is taken.
static void add_file(source_files_t *files, const char *name, const char *key, buf_t text)
{
    if (files->n == files->cap) {
        files->cap = files->cap ? 2 * files->cap : 8;
        files->v = mem_realloc(files->v, files->cap * sizeof *files->v);
    }
    source_file_t *f = &files->v[files->n++];
    *f = (source_file_t){.name = copy_of(name), .key = copy_of(key), .text = text};
    files->bytes += text.n;
    source_digest(buf_str(&text), f->digest);
}

int source_files_take(source_files_t *files, int fd, const char *name, const char *key,
                      bool regular_only)
{
    buf_t text = {0};
    struct stat st;
    int error = fstat(fd, &st) != 0   ? errno
                : S_ISDIR(st.st_mode) ? EISDIR
                : regular_only && !S_ISREG(st.st_mode)
                    ? EINVAL
                    : source_read_fd(fd, YAML_BYTES_MAX, &text);
    close(fd);
    if (!error && files->bytes + text.n > YAML_BYTES_MAX)
        error = EFBIG;
    if (error) {
        buf_dispose(&text);
        return error;
    }
    add_file(files, name, key, text);
    return 0;
}

void source_files_add(source_files_t *files, const char *name, str_t text)
{
    buf_t copy = {0};
    buf_append(&copy, text);
    add_file(files, name, NULL, copy);
}

static void cannot_read(source_files_t *files, const volumes_t *v, const char *path, int error,
                        loader_result_t *out)
{
    if ((error == ENOENT || error == EACCES) && volumes_holds(v, path))
        files->late = true;
    loader_error(out, "%s: cannot be read: %s%s", path, strerror(error), cure_of(error));
}

// ---- directories ----

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

static void read_entry(volumes_t *v, int dir_fd, const char *path, const char *name,
                       source_files_t *files, loader_result_t *out, uint32_t *read)
{
    char full[PATH_MAX];
    if (snprintf(full, sizeof full, "%s/%s", path, name) >= (int)sizeof full) {
        loader_error(out, "%s/%s: the path is too long", path, name);
        return;
    }
    int fd = volumes_open_in(v, dir_fd, path, name, O_NONBLOCK, true);
    int error = fd < 0 ? -fd : source_files_take(files, fd, full, NULL, true);
    if (error == EISDIR)
        return;
    if (error)
        cannot_read(files, v, full, error, out);
    ++*read;
}

// dir_fd is taken.
static void read_directory(volumes_t *v, int dir_fd, const char *path, source_files_t *files,
                           loader_result_t *out)
{
    struct dirent **entries = NULL;
    uint32_t read = 0;
    int n = scandirat(dir_fd, ".", &entries, is_source_name, by_bytes);
    if (n < 0)
        cannot_read(files, v, path, errno, out);
    for (int i = 0; i < n; i++) {
        read_entry(v, dir_fd, path, entries[i]->d_name, files, out, &read);
        free(entries[i]);
    }
    free(entries);
    close(dir_fd);
    if (n >= 0 && read == 0)
        loader_warning(out, "%s: warning: holds no .yaml, .yml or .json file", path);
}

static void read_path(volumes_t *v, const char *path, source_files_t *files,
                      loader_result_t *out)
{
    int fd = volumes_open(v, path, 0);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        read_directory(v, fd, path, files, out);
        return;
    }
    int error = fd < 0 ? -fd : source_files_take(files, fd, path, NULL, false);
    if (error)
        cannot_read(files, v, path, error, out);
}

void source_files_empty(source_files_t *files)
{
    ASSERT(files->n == 0, "a configuration that has files is not empty");
    source_file_t f = {.name = copy_of("(no configuration yet)")};
    buf_append(&f.text, STR("_format_version: \"3.0\"\n"));
    source_digest(buf_str(&f.text), f.digest);
    files->v = mem_realloc(files->v, sizeof *files->v);
    files->v[0] = f;
    files->n = files->cap = 1;
    files->none = true;
}

// Nothing has come from Redis yet: the gateway begins with an empty configuration.
static void wait_for_redis(const settings_t *s, source_files_t *files, loader_result_t *out)
{
    char root[PATH_MAX], target[NAME_MAX + 1];
    settings_remote_dir(s, root);
    if (volume_target(root, target, sizeof target) > 0)
        return; // something did: that is no beginning
    loader_warning(out, "%s: warning: nothing has come from config_redis yet", root);
    source_files_empty(files);
}

// ---- the Admin API's store ----

// What was written through the Admin API takes the place of the files; they are where it began.
static bool read_store(const settings_t *s, volumes_t *v, source_files_t *files,
                       loader_result_t *out)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%.*s/moongate.json", STR_FMT(s->admin_store));
    if (s->admin_store.n == 0 || n >= (int)sizeof path || access(path, F_OK) != 0)
        return false;
    read_path(v, path, files, out);
    return true;
}

void source_files_read(const settings_t *s, volumes_t *v, source_files_t *files,
                       loader_result_t *out)
{
    if (read_store(s, v, files, out))
        return;
    if (s->n_config_paths == 0 && s->n_admin_listen > 0) {
        source_files_empty(files); // the Admin API fills it
        return;
    }
    if (s->n_config_paths == 0)
        loader_error(
            out, "no configuration: name a file or a directory with -c, or set config_paths");
    for (uint32_t i = 0; i < s->n_config_paths; i++) {
        char path[PATH_MAX];
        str_t given = s->config_paths[i];
        while (given.n > 1 && given.p[given.n - 1] == '/')
            given.n--;
        if (snprintf(path, sizeof path, "%.*s", STR_FMT(given)) >= (int)sizeof path)
            loader_error(out, "%.100s...: the path is too long", path);
        else
            read_path(v, path, files, out);
    }
    if (files->n == 0 && out->errors == 0 && s->config_redis.n > 0)
        wait_for_redis(s, files, out);
    if (files->n == 0 && out->errors == 0)
        loader_error(
            out, "no configuration: none of the given paths holds a .yaml, .yml or .json file");
}

void source_files_dispose(source_files_t *files)
{
    for (size_t i = 0; i < files->n; i++) {
        free(files->v[i].name);
        free(files->v[i].key);
        buf_dispose(&files->v[i].text);
    }
    free(files->v);
    *files = (source_files_t){0};
}
