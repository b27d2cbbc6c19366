// Programs over libuv's processes and pipes. Pipes, not libuv's socket pairs: programs open /dev/stdin.
// Invariant: a child is freed when its last handle has closed; the process's handle stays until the program was reaped, or
// until the loop ends.
#include "io/child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "io/loop_impl.h"

typedef struct stream {
    uv_pipe_t uv;
    child_t *child;
    bool open, reading;
} stream_t;

struct child {
    uv_process_t process;
    stream_t streams[CHILD_STREAMS];
    list_t links;     // loop->children
    unsigned handles; // of libuv, not closed yet
    const child_events_t *events;
    void *arg;
    bool closing, exited;
};

typedef struct piece {
    uv_write_t uv;
    char bytes[];
} piece_t;

// ---- the end ----

static void handle_closed(child_t *c, uv_handle_t *handle)
{
    ASSERT(c->handles > 0, "a handle closes once");
    live_end(loop_of(handle->loop));
    if (--c->handles > 0)
        return;
    ASSERT(c->closing, "the process's handle closes last, after the child");
    list_unlink(&c->links);
    free(c);
}

static void on_stream_closed(uv_handle_t *handle)
{
    handle_closed(CONTAINER_OF(handle, stream_t, uv)->child, handle);
}

static void on_process_closed(uv_handle_t *handle)
{
    handle_closed(CONTAINER_OF(handle, child_t, process), handle);
}

static void end_process(child_t *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->process))
        uv_close((uv_handle_t *)&c->process, on_process_closed);
}

void child_shut(child_t *c, child_stream_t which)
{
    stream_t *s = &c->streams[which];
    if (!s->open)
        return;
    s->open = s->reading = false;
    uv_close((uv_handle_t *)&s->uv, on_stream_closed);
}

void child_close(child_t *c)
{
    ASSERT(!c->closing, "a child is closed once");
    c->closing = true;
    for (int i = 0; i < CHILD_STREAMS; i++)
        child_shut(c, i);
    if (c->exited)
        end_process(c);
    else
        kill(-c->process.pid, SIGKILL); // on_exit ends the rest
}

// The loop ends: whoever was killed and not reaped yet is left to init.
static void children_end(loop_t *l)
{
    for (list_t *i = l->children.next; i != &l->children; i = i->next) {
        child_t *c = CONTAINER_OF(i, child_t, links);
        ASSERT(c->closing, "every child is closed before its loop");
        if (!c->exited)
            waitpid(c->process.pid, NULL, WNOHANG);
        end_process(c);
    }
}

static void on_exit_status(uv_process_t *process, int64_t status, int signum)
{
    child_t *c = CONTAINER_OF(process, child_t, process);
    c->exited = true;
    if (c->closing)
        end_process(c);
    else
        c->events->on_exit(c->arg, (int)status, signum);
}

// ---- starting ----

static void close_on_exec_by_list(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        int fd = atoi(entry->d_name);
        if (fd > STDERR_FILENO)
            fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    closedir(dir);
}

// Listening sockets pass from the master to its workers, and so would to any program. This process runs no other that may have them.
static void keep_descriptors(void)
{
    enum { WITH_CLOEXEC = 1 << 2 }; // CLOSE_RANGE_CLOEXEC, which not every kernel has
    if (close_range(STDERR_FILENO + 1, ~0U, WITH_CLOEXEC) != 0)
        close_on_exec_by_list();
}

// One pipe: our end becomes a stream, *theirs is the caller's.
static int open_stream(child_t *c, loop_t *l, child_stream_t which, uv_file *theirs)
{
    bool in = which == CHILD_STDIN;
    uv_file fds[2];
    int rc = uv_pipe(fds, in ? 0 : UV_NONBLOCK_PIPE, in ? UV_NONBLOCK_PIPE : 0);
    if (rc != 0)
        return rc;
    stream_t *s = &c->streams[which];
    s->child = c;
    uv_pipe_init(&l->uv, &s->uv, 0);
    rc = uv_pipe_open(&s->uv, fds[in]);
    ASSERT(rc == 0, "a pipe just made is a pipe");
    s->open = true;
    c->handles++;
    live_begin(l);
    *theirs = fds[!in];
    return 0;
}

static int spawn(child_t *c, loop_t *l, const child_opts_t *o, const uv_file *theirs)
{
    uv_stdio_container_t stdio[CHILD_STREAMS];
    for (int i = 0; i < CHILD_STREAMS; i++) {
        stdio[i].flags = UV_INHERIT_FD;
        stdio[i].data.fd = theirs[i];
    }
    if (o->merge_stderr)
        stdio[CHILD_STDERR].data.fd = theirs[CHILD_STDOUT];
    uv_process_options_t how = {.exit_cb = on_exit_status,
                                .file = o->args[0],
                                .args = (char **)(uintptr_t)o->args,
                                .env = (char **)(uintptr_t)o->environ,
                                .flags = UV_PROCESS_DETACHED,
                                .stdio_count = CHILD_STREAMS,
                                .stdio = stdio};
    keep_descriptors();
    int rc = uv_spawn(&l->uv, &c->process, &how);
    c->handles++;
    live_begin(l);
    return rc;
}

static void join_loop(loop_t *l, child_t *c)
{
    if (!l->children_end) {
        list_init(&l->children);
        l->children_end = children_end;
    }
    list_push_back(&l->children, &c->links);
}

int child_open(loop_t *l, const child_opts_t *o, child_t **out)
{
    ASSERT(o->args && o->args[0] && o->environ, "a program has a name and an environment");
    child_t *c = mem_zalloc(sizeof *c);
    c->events = o->events;
    c->arg = o->arg;
    list_init(&c->links);
    join_loop(l, c);
    uv_file theirs[CHILD_STREAMS] = {-1, -1, -1};
    int rc = 0, n = o->merge_stderr ? CHILD_STDERR : CHILD_STREAMS;
    for (int i = 0; i < n && rc == 0; i++)
        rc = open_stream(c, l, i, &theirs[i]);
    bool piped = rc == 0;
    if (piped)
        rc = spawn(c, l, o, theirs);
    for (int i = 0; i < n; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    if (rc == 0) {
        *out = c;
        return 0;
    }
    c->exited = c->closing = true;
    for (int i = 0; i < CHILD_STREAMS; i++)
        child_shut(c, i);
    if (piped)
        end_process(c);
    if (c->handles == 0) {
        list_unlink(&c->links);
        free(c);
    }
    return rc;
}

// ---- its life ----

int child_pid(const child_t *c)
{
    return c->process.pid;
}

int child_kill(child_t *c, int signum)
{
    return c->exited ? -ESRCH : uv_process_kill(&c->process, signum);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    (void)wanted;
    *buf = uv_buf_init(loop_of(handle->loop)->read_buf, READ_BUF_BYTES);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf)
{
    stream_t *s = CONTAINER_OF(handle, stream_t, uv);
    child_t *c = s->child;
    child_stream_t from = (child_stream_t)(s - c->streams);
    if (n > 0) {
        c->events->on_data(c->arg, from, buf->base, (size_t)n);
    } else if (n < 0) {
        child_shut(c, from);
        c->events->on_end(c->arg, from, io_err((int)n));
    }
}

void child_resume(child_t *c, child_stream_t from)
{
    ASSERT(from != CHILD_STDIN, "a program's input is not read");
    stream_t *s = &c->streams[from];
    if (!s->open || s->reading)
        return;
    s->reading = true;
    int rc = uv_read_start((uv_stream_t *)&s->uv, on_alloc, on_read);
    ASSERT(rc == 0, "an open pipe can be read");
}

void child_pause(child_t *c, child_stream_t from)
{
    stream_t *s = &c->streams[from];
    if (!s->reading)
        return;
    s->reading = false;
    uv_read_stop((uv_stream_t *)&s->uv);
}

static void on_wrote(uv_write_t *req, int status)
{
    piece_t *piece = CONTAINER_OF(req, piece_t, uv);
    stream_t *s = CONTAINER_OF(req->handle, stream_t, uv);
    child_t *c = s->child;
    free(piece);
    if (s->open && (status != 0 || child_pending(c) == 0))
        c->events->on_written(c->arg, io_err(status));
}

int child_write(child_t *c, str_t text)
{
    stream_t *s = &c->streams[CHILD_STDIN];
    if (!s->open)
        return ERR_RESET;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text.p, (unsigned)text.n);
    int n = text.n ? uv_try_write((uv_stream_t *)&s->uv, &buf, 1) : 0;
    if (n == UV_EAGAIN)
        n = 0;
    if (n < 0)
        return io_err(n);
    if ((size_t)n == text.n)
        return 0;
    size_t left = text.n - (size_t)n;
    piece_t *piece = mem_alloc(sizeof *piece + left);
    memcpy(piece->bytes, text.p + n, left);
    buf = uv_buf_init(piece->bytes, (unsigned)left);
    int rc = uv_write(&piece->uv, (uv_stream_t *)&s->uv, &buf, 1, on_wrote);
    if (rc != 0)
        free(piece);
    return io_err(rc);
}

size_t child_pending(const child_t *c)
{
    const stream_t *s = &c->streams[CHILD_STDIN];
    return s->open ? uv_stream_get_write_queue_size((const uv_stream_t *)&s->uv) : 0;
}
