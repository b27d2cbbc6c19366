// Programs: their streams, their end, what they do not get, and that closing ends them.
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "io/child.h"

typedef struct seen {
    buf_t out[CHILD_STREAMS];
    int ends[CHILD_STREAMS]; // ERR_*; 0: open
    bool exited, close_at_data;
    int status, signum, written, write_err;
    child_t *child;
} seen_t;

static void on_data(void *arg, child_stream_t from, const char *p, size_t n)
{
    seen_t *s = arg;
    CHECK(n > 0);
    buf_append(&s->out[from], str_make(p, n));
    if (s->close_at_data) {
        child_close(s->child);
        s->child = NULL;
    }
}

static void on_end(void *arg, child_stream_t from, int err)
{
    seen_t *s = arg;
    CHECK_EQ_INT(s->ends[from], 0);
    s->ends[from] = err;
}

static void on_written(void *arg, int err)
{
    seen_t *s = arg;
    s->written++;
    s->write_err = err;
}

static void on_exit_status(void *arg, int status, int signum)
{
    seen_t *s = arg;
    CHECK(!s->exited);
    s->exited = true;
    s->status = status;
    s->signum = signum;
}

static const child_events_t EVENTS = {
    .on_data = on_data, .on_end = on_end, .on_written = on_written, .on_exit = on_exit_status};

static int start(loop_t *l, seen_t *s, const char *script, bool merge)
{
    char *const args[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
    char *const environ_[] = {"PATH=/usr/bin:/bin", "ONE=1", NULL};
    child_opts_t o = {
        .args = args, .environ = environ_, .merge_stderr = merge, .events = &EVENTS, .arg = s};
    int rc = child_open(l, &o, &s->child);
    if (rc == 0) {
        child_resume(s->child, CHILD_STDOUT);
        child_resume(s->child, CHILD_STDERR);
    }
    return rc;
}

#define UNTIL(l, cond)                                                                         \
    do {                                                                                       \
        uint64_t give_up_ = clock_mono_us() + 5000000;                                         \
        while (!(cond) && clock_mono_us() < give_up_)                                          \
            loop_turn((l), 20);                                                                \
        CHECK(cond);                                                                           \
    } while (0)

static void finish(loop_t *l, seen_t *s)
{
    if (s->child)
        child_close(s->child);
    UNTIL(l, loop_live(l) == 0);
    loop_destroy(l);
    for (int i = 0; i < CHILD_STREAMS; i++)
        buf_dispose(&s->out[i]);
}

TEST(child_streams_and_status)
{
    loop_t *l = loop_create();
    seen_t s = {0};
    CHECK_EQ_INT(
        start(l, &s, "read line; echo \"got $line $ONE$HOME\"; echo bad >&2; exit 3", false),
        0);
    CHECK_EQ_INT(child_write(s.child, STR("it\n")), 0);
    UNTIL(l, s.exited && s.ends[CHILD_STDOUT] && s.ends[CHILD_STDERR]);
    CHECK_EQ_STR(buf_str(&s.out[CHILD_STDOUT]), "got it 1\n");
    CHECK_EQ_STR(buf_str(&s.out[CHILD_STDERR]), "bad\n");
    CHECK_EQ_INT(s.ends[CHILD_STDOUT], ERR_EOF);
    CHECK_EQ_INT(s.status, 3);
    CHECK_EQ_INT(s.signum, 0);
    CHECK_EQ_INT(child_kill(s.child, SIGTERM), -ESRCH);
    finish(l, &s);
}

TEST(child_merged_errors)
{
    loop_t *l = loop_create();
    seen_t s = {0};
    CHECK_EQ_INT(start(l, &s, "echo one; echo two >&2", true), 0);
    UNTIL(l, s.exited && s.ends[CHILD_STDOUT]);
    CHECK_EQ_STR(buf_str(&s.out[CHILD_STDOUT]), "one\ntwo\n");
    finish(l, &s);
}

TEST(child_large_input_is_queued)
{
    enum { LARGE = 3 << 20 };
    loop_t *l = loop_create();
    seen_t s = {0};
    char *text = calloc(1, LARGE);
    CHECK_EQ_INT(start(l, &s, "exec wc -c", false), 0);
    CHECK_EQ_INT(child_write(s.child, str_make(text, LARGE)), 0);
    CHECK(child_pending(s.child) > 0);
    UNTIL(l, s.written);
    CHECK_EQ_INT(s.write_err, 0);
    CHECK_EQ_INT(child_pending(s.child), 0);
    child_shut(s.child, CHILD_STDIN);
    child_shut(s.child, CHILD_STDIN);
    UNTIL(l, s.exited && s.ends[CHILD_STDOUT]);
    CHECK_EQ_STR(buf_str(&s.out[CHILD_STDOUT]), "3145728\n");
    CHECK_EQ_INT(child_write(s.child, STR("x")), ERR_RESET);
    free(text);
    finish(l, &s);
}

TEST(child_that_reads_nothing)
{
    loop_t *l = loop_create();
    seen_t s = {0};
    CHECK_EQ_INT(start(l, &s, "exec <&-; echo closed; exec sleep 60", false), 0);
    UNTIL(l, s.out[CHILD_STDOUT].n > 0);
    CHECK_EQ_INT(child_write(s.child, STR("x")), ERR_RESET);
    finish(l, &s);
}

// A second program of the group, killed with the first.
static bool lives(str_t pid)
{
    return kill(atoi(pid.p), 0) == 0;
}

TEST(child_close_kills_the_group)
{
    loop_t *l = loop_create();
    seen_t s = {0};
    CHECK_EQ_INT(start(l, &s, "sleep 60 & echo $!; wait", false), 0);
    UNTIL(l, s.out[CHILD_STDOUT].n > 0);
    buf_append(&s.out[CHILD_STDOUT], STR("\0"));
    str_t other = buf_str(&s.out[CHILD_STDOUT]);
    CHECK(lives(other));
    child_close(s.child);
    s.child = NULL;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", atoi(other.p));
    uint64_t give_up = clock_mono_us() + 5000000;
    for (bool gone = false; !gone && CHECK(clock_mono_us() < give_up);) {
        char stat[128] = "";
        int fd = open(path, O_RDONLY);
        gone = fd < 0 || read(fd, stat, sizeof stat - 1) <= 0 ||
               strstr(stat, ") Z "); // nobody may reap it
        if (fd >= 0)
            close(fd);
        loop_turn(l, 5);
    }
    CHECK(!s.exited); // no callback after child_close
    finish(l, &s);
}

TEST(child_closed_in_a_callback)
{
    loop_t *l = loop_create();
    seen_t s = {.close_at_data = true};
    CHECK_EQ_INT(start(l, &s, "echo here; exec sleep 60", false), 0);
    UNTIL(l, s.out[CHILD_STDOUT].n > 0);
    CHECK(!s.child);
    finish(l, &s);
}

TEST(child_loop_may_end_before_it_is_reaped)
{
    loop_t *l = loop_create();
    seen_t s = {0};
    CHECK_EQ_INT(start(l, &s, "exec sleep 60", false), 0);
    child_close(s.child);
    loop_destroy(l);
}

TEST(child_signalled)
{
    loop_t *l = loop_create();
    seen_t s = {0};
    CHECK_EQ_INT(start(l, &s, "exec sleep 60", false), 0);
    CHECK_EQ_INT(child_kill(s.child, 12345), -EINVAL);
    CHECK_EQ_INT(child_kill(s.child, SIGKILL), 0);
    UNTIL(l, s.exited);
    CHECK_EQ_INT(s.signum, SIGKILL);
    finish(l, &s);
}

TEST(child_that_is_not_there)
{
    loop_t *l = loop_create();
    char *const args[] = {"/nowhere/at-all", NULL};
    char *const none[] = {NULL};
    child_t *c = NULL;
    child_opts_t o = {.args = args, .environ = none, .events = &EVENTS};
    CHECK_EQ_INT(child_open(l, &o, &c), -ENOENT);
    CHECK(!c);
    seen_t s = {0};
    finish(l, &s);
}

TEST(child_inherits_nothing_but_its_streams)
{
    loop_t *l = loop_create();
    seen_t s = {0};
    int fd = open("/dev/null", O_RDONLY); // without O_CLOEXEC
    CHECK(fd > 2);
    CHECK_EQ_INT(start(l, &s, "ls -l /proc/$$/fd | grep -c null", false), 0);
    UNTIL(l, s.exited && s.ends[CHILD_STDOUT]);
    str_t out = buf_str(&s.out[CHILD_STDOUT]);
    CHECK_EQ_STR(out, "0\n");
    close(fd);
    finish(l, &s);
}
