// The messages themselves, and the worker's end of the channel. The master's end is master.c.
// Invariants: an order is answered once; a reload is applied between two turns of the loop, never inside a request.
#include "core/control.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "base/notify.h"
#include "core/config_state.h"
#include "core/node.h"
#include "core/reload.h"
#include "core/stats.h"

enum { REPORT_MS = 1000, N_SIGNALS = 6, PATH_BYTES = 4096 };

struct control {
    worker_t *worker;
    int fd;
    io_watch_t *watch;
    io_timer_t report, shut;
    io_signal_t *signals[N_SIGNALS];
    const settings_t *original; // the worker's
    settings_t settings;        // the same with another drain delay; its slices are borrowed
    reloads_t *reloads;
    bool terminating, silent;
    uint32_t load_seq; // of the last control_load
    bool loading;
    control_loaded_fn on_loaded; // NULL: nobody waits
    void *loaded_arg;
};

// What a process without a master does for itself.
static load_fn loader;
static str_t first_facts;
static const int *proxy_fds;
static unsigned n_proxy_fds;

void control_set_alone(load_fn load, str_t facts, const int *fds, unsigned n)
{
    loader = load;
    first_facts = facts;
    proxy_fds = fds;
    n_proxy_fds = n;
}

// ---- messages ----

int control_send(int fd, const control_message_t *m, int passed)
{
    ASSERT(m->text_n <= CONTROL_TEXT_MAX, "a message's text fits");
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } space = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)m,
                        .iov_len = offsetof(control_message_t, text) + m->text_n};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    if (passed >= 0) {
        h.msg_control = space.bytes;
        h.msg_controllen = sizeof space.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &passed, sizeof passed);
    }
    ssize_t n;
    do
        n = sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    return errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ? ERR_EOF : ERR_IO;
}

static int passed_fd(struct msghdr *h)
{
    int fd = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
            c->cmsg_len == CMSG_LEN(sizeof fd))
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
    }
    return fd;
}

int control_receive(int fd, control_message_t *m, int *passed)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } space = {0};
    struct iovec iov = {.iov_base = m, .iov_len = sizeof *m};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = space.bytes,
                       .msg_controllen = sizeof space.bytes};
    ssize_t n;
    do
        n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 1 : ERR_EOF;
    if (n == 0)
        return ERR_EOF;
    *passed = passed_fd(&h);
    size_t head = offsetof(control_message_t, text);
    if ((size_t)n >= head && m->text_n == (size_t)n - head)
        return 0;
    if (*passed >= 0)
        close(*passed);
    return ERR_PROTOCOL;
}

static void answer(control_t *c, control_order_t order, uint32_t seq, const char *text)
{
    control_message_t m = {.order = order, .seq = seq};
    m.text_n = (uint32_t)snprintf(m.text, sizeof m.text, "%s", text);
    if (m.text_n >= sizeof m.text)
        m.text_n = sizeof m.text - 1;
    if (control_send(c->fd, &m, -1) != 0)
        log_write(LOG_WARN, "worker %u cannot answer the master", c->worker->index);
}

// ---- what both ends do ----

void control_reopen_error_log(const settings_t *s)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%.*s", STR_FMT(s->error_log));
    int err = path[0] ? log_open(path) : 0;
    if (err != 0)
        log_write(LOG_ERR, "error log %s cannot be reopened: %s; the old one is used on", path,
                  strerror(-err));
}

void control_log_problems(str_t problems, log_level_t level)
{
    while (problems.n > 0) {
        ptrdiff_t end = str_chr(problems, '\n');
        size_t n = end < 0 ? problems.n : (size_t)end;
        if (n > 0)
            log_write(level, "%.*s", STR_FMT(str_make(problems.p, n)));
        problems = str_from_at(problems, n + 1);
    }
}

void control_silence(const int *fds, unsigned n)
{
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog all = {.len = 1, .filter = &drop};
    for (unsigned i = 0; i < n; i++) {
        if (setsockopt(fds[i], SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all) != 0)
            log_write(LOG_INFO, "a listener cannot be silenced before it is shut: %s",
                      strerror(errno));
    }
}

void control_shut(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        shutdown(fds[i], SHUT_RDWR);
}

// ---- orders ----

static void reopen_logs(control_t *c)
{
    control_reopen_error_log(c->original);
    if (c->worker->access_log)
        access_log_reopen(c->worker->access_log);
}

static void drain(control_t *c, uint32_t delay_ms)
{
    c->settings = *c->original;
    c->settings.drain_delay_ms = delay_ms;
    c->worker->settings = &c->settings;
    worker_drain(c->worker);
}

static void reload_done(void *arg, uint32_t seq, int rc, const char *text)
{
    control_t *c = arg;
    config_state_alive(c->worker->index, generations_alive());
    answer(c, rc == 0 ? CONTROL_INSTALLED : CONTROL_REFUSED, seq, text);
}

static void loaded(control_t *c, control_message_t *m)
{
    if (!c->loading || m->seq != c->load_seq)
        return;
    control_loaded_fn fn = c->on_loaded;
    c->loading = false;
    c->on_loaded = NULL;
    m->text[m->text_n < CONTROL_TEXT_MAX ? m->text_n : CONTROL_TEXT_MAX - 1] = '\0';
    if (fn)
        fn(c->loaded_arg, (control_loaded_t)m->arg, m->text);
}

static void obey(control_t *c, control_message_t *m, int fd)
{
    switch ((control_order_t)m->order) {
    case CONTROL_RELOAD:
        reload_take(c->reloads, fd, m->seq);
        return;
    case CONTROL_DRAIN:
        drain(c, (uint32_t)m->arg);
        break;
    case CONTROL_STOP:
        worker_stop(c->worker);
        break;
    case CONTROL_REOPEN:
        reopen_logs(c);
        break;
    case CONTROL_LEVEL:
        log_set_level((log_level_t)m->arg);
        break;
    case CONTROL_LOADED:
        loaded(c, m);
        break;
    case CONTROL_READY:
    case CONTROL_INSTALLED:
    case CONTROL_REFUSED:
    case CONTROL_LOAD:
        log_write(LOG_ERR, "worker %u: the master sent a worker's message (%u)",
                  c->worker->index, m->order);
        break;
    }
    if (fd >= 0)
        close(fd);
}

static void on_master_gone(control_t *c)
{
    loop_watch_stop(c->watch);
    c->watch = NULL;
    log_write(LOG_WARN, "worker %u: the master has gone; draining", c->worker->index);
    drain(c, 0);
}

static void on_message(void *arg, int fd)
{
    control_t *c = arg;
    control_message_t m;
    int passed = -1, rc;
    while ((rc = control_receive(fd, &m, &passed)) == 0)
        obey(c, &m, passed);
    if (rc == ERR_EOF)
        on_master_gone(c);
}

// ---- the Admin API's orders ----

int control_load(control_t *c, int fd, control_loaded_fn done, void *arg)
{
    ASSERT(c->fd >= 0 && done, "the Admin API has a master, and waits for its answer");
    control_message_t m = {.order = CONTROL_LOAD, .seq = c->load_seq + 1};
    int rc = c->loading ? 1 : control_send(c->fd, &m, fd);
    if (fd >= 0)
        close(fd);
    if (rc != 0)
        return rc;
    c->load_seq = m.seq;
    c->loading = true;
    c->on_loaded = done;
    c->loaded_arg = arg;
    return 0;
}

void control_load_forget(control_t *c)
{
    c->on_loaded = NULL;
}

int control_set_level(control_t *c, log_level_t level)
{
    ASSERT(c->fd >= 0, "the Admin API has a master");
    control_message_t m = {.order = CONTROL_LEVEL, .arg = level};
    return control_send(c->fd, &m, -1);
}

// ---- without a master ----

// First the listeners fall silent, then, when the worker has stopped accepting, they are shut.
static void end_listening(io_timer_t *t)
{
    control_t *c = CONTAINER_OF(t, control_t, shut);
    if (c->silent)
        control_shut(proxy_fds, n_proxy_fds);
    else
        control_silence(proxy_fds, n_proxy_fds);
    if (!c->silent)
        io_timer_start(t, 2 * DRAIN_ACCEPT_MS);
    c->silent = true;
}

static void terminate_alone(control_t *c, uint32_t delay_ms)
{
    if (c->terminating)
        worker_stop(c->worker);
    else
        drain(c, delay_ms + DRAIN_ACCEPT_MS);
    if (!c->terminating)
        io_timer_start(&c->shut, delay_ms);
    c->terminating = true;
}

void control_set_drained(bool drained)
{
    log_write(LOG_NOTICE, drained
                              ? "out of service: /status/ready answers 503, requests are served"
                              : "in service again");
    config_state_set_drained(drained);
}

static void on_signal(void *arg, int signum)
{
    control_t *c = arg;
    switch (signum) {
    case SIGHUP:
        reload_alone(c->reloads);
        break;
    case SIGTERM:
        terminate_alone(c, c->worker->settings->drain_delay_ms);
        break;
    case SIGQUIT:
        terminate_alone(c, 0);
        break;
    case SIGINT:
        worker_stop(c->worker);
        break;
    case SIGUSR1:
        reopen_logs(c);
        break;
    case SIGUSR2:
        control_set_drained(true);
        break;
    }
}

static const int SIGNALS[N_SIGNALS] = {SIGHUP, SIGTERM, SIGQUIT, SIGINT, SIGUSR1, SIGUSR2};

static void start_signals(control_t *c)
{
    for (int i = 0; i < N_SIGNALS; i++)
        c->signals[i] = loop_signal_start(c->worker->loop, SIGNALS[i], on_signal, c);
}

// ---- life ----

// Connections without a request wait for one; the others are being answered. nginx's third state, reading a head, is too short to be seen.
static void report_connections(const worker_t *w)
{
    unsigned busy = w->n_requests < w->n_conns ? w->n_requests : w->n_conns;
    stat_fixed_set(SF_CONN_WRITING, busy);
    stat_fixed_set(SF_CONN_WAITING, w->n_conns - busy);
}

static void report(io_timer_t *t)
{
    control_t *c = CONTAINER_OF(t, control_t, report);
    const script_t *script = c->worker->script;
    stats_slot_report(getpid(), script->memory ? script->memory(c->worker) : 0);
    report_connections(c->worker);
    config_state_alive(c->worker->index, generations_alive());
    if (c->fd < 0)
        notify_alive(loop_now_ms(c->worker->loop));
    io_timer_start(t, REPORT_MS);
}

control_t *control_start(worker_t *w, int fd)
{
    char text[CONTROL_TEXT_MAX];
    control_t *c = mem_zalloc(sizeof *c);
    c->worker = w;
    w->control = c;
    c->fd = fd;
    c->original = w->settings;
    if (node_id()[0])
        memcpy(w->node_id, node_id(), sizeof w->node_id);
    c->reloads = reloads_create(w, reload_done, c);
    io_timer_init(&c->report, w->loop, report);
    io_timer_init(&c->shut, w->loop, end_listening);
    report(&c->report);
    if (fd < 0) {
        start_signals(c);
        if (loader)
            reload_alone_start(c->reloads, loader, first_facts);
        log_write(LOG_NOTICE, "serving without a master: %s",
                  reload_summary(w, text, sizeof text));
        notify_ready("serving without a master: %s", reload_summary(w, text, sizeof text));
        return c;
    }
    c->watch = loop_watch_start(w->loop, fd, on_message, c);
    answer(c, CONTROL_READY, 0, reload_summary(w, text, sizeof text));
    return c;
}

void control_stop(control_t *c)
{
    if (!c)
        return;
    if (c->watch)
        loop_watch_stop(c->watch);
    for (int i = 0; i < N_SIGNALS; i++) {
        if (!c->signals[i])
            continue;
        loop_signal_stop(c->signals[i]);
        signal(SIGNALS[i],
               SIG_IGN); // the end is near: one more signal must not spoil the exit code
    }
    reloads_destroy(c->reloads);
    io_timer_stop(&c->report);
    io_timer_stop(&c->shut);
    c->worker->settings = c->original;
    c->worker->control = NULL;
    stats_slot_report(0, 0);
    free(c);
}
