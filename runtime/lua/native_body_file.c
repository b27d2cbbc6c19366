// ngx.req.set_body_file: a file becomes the request's body. A pool thread reads it while the plugin waits.
// Invariant: the pool thread sees the reading_t only; who waited may have gone when it is done.
#include "lua/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "core/worker.h"

typedef struct reading {
    thread_t *thread; // NULL: gone
    char *path;
    bool remove; // the file, once it has been read
    uint64_t max_bytes;
    buf_t data;
    int err; // errno
} reading_t;

static int read_all(reading_t *f, int fd)
{
    char step[64 * 1024];
    struct stat st;
    if (fstat(fd, &st) != 0)
        return errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    for (;;) {
        ssize_t n = read(fd, step, sizeof step);
        if (n <= 0)
            return n == 0 ? 0 : errno;
        if (f->max_bytes && f->data.n + (size_t)n > f->max_bytes)
            return EFBIG;
        if (buf_try_append(&f->data, str_make(step, (size_t)n)) != 0)
            return ENOMEM;
    }
}

// On a pool thread.
static void work(void *arg)
{
    reading_t *f = arg;
    int fd =
        open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO would wait for its writer
    if (fd < 0) {
        f->err = errno;
        return;
    }
    f->err = read_all(f, fd);
    close(fd);
    if (f->err == 0 && f->remove && unlink(f->path) != 0)
        f->err = errno;
}

static int push_result(reading_t *f, lua_State *L, request_t *r)
{
    if (f->err)
        return push_error(L, f->err == EFBIG ? "larger than body_buffer_max_bytes"
                                             : strerror(f->err));
    if (r->exchange || r->head_sent)
        return push_error(L, "the request has gone upstream already");
    r->new_body = arena_dup(&r->arena, buf_str(&f->data));
    if (!r->new_body.p)
        r->new_body = STR("");
    r->doc = NULL;
    lua_pushboolean(L, 1);
    return 1;
}

static void done(void *arg)
{
    reading_t *f = arg;
    thread_t *t = f->thread;
    int n = t ? push_result(f, t->co, t->task->req) : 0;
    buf_dispose(&f->data);
    free(f->path);
    free(f);
    if (t)
        thread_resume(t, n);
}

static void cancel(thread_t *t)
{
    reading_t *f = t->op;
    f->thread = NULL;
}

// body_file(path, remove): true, or nil and why.
static int l_body_file(lua_State *L)
{
    const request_t *r = request_check(L);
    str_t path = arg_str(L, 1);
    luaL_argcheck(L, path.n > 0 && strlen(path.p) == path.n, 1, "path expected");
    thread_t *t = thread_check(L);
    reading_t *f = mem_zalloc(sizeof *f);
    f->thread = t;
    f->path = mem_zalloc(path.n + 1);
    memcpy(f->path, path.p, path.n);
    f->remove = lua_toboolean(L, 2);
    f->max_bytes = r->worker->settings->body_buffer_max_bytes;
    loop_queue_work(r->worker->loop, work, done, f);
    return thread_wait(L, cancel, f);
}

const luaL_Reg native_body_file[] = {{"body_file", l_body_file}, {NULL, NULL}};
