// A probe; see probe.h. Of an HTTP answer the first line is all that is read: the connection is closed then.
// Invariant: connector and sock are never both set; `done` is the last thing a probe does.
#include "core/probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"

#ifndef MOONGATE_VERSION
#define MOONGATE_VERSION "0.0.0" // the Makefile says which
#endif

enum { LINE_MAX_BYTES = 1024, STATUS_LINE_MIN = 12 }; // "HTTP/1.1 200"

struct probe {
    loop_t *loop;
    check_type_t type;
    status_set_t good, bad;
    buf_t request, answer;
    connector_t *connector;
    sock_t *sock;
    io_timer_t deadline;
    void (*done)(void *arg, health_report_t what, bool counts, const char *why);
    void *arg;
};

static void probe_destroy(probe_t *p)
{
    io_timer_stop(&p->deadline);
    if (p->connector)
        connect_cancel(p->connector);
    if (p->sock)
        sock_close(p->sock);
    buf_dispose(&p->request);
    buf_dispose(&p->answer);
    free(p);
}

static void finish(probe_t *p, health_report_t what, bool counts, const char *why)
{
    void (*done)(void *, health_report_t, bool, const char *) = p->done;
    void *arg = p->arg;
    probe_destroy(p);
    done(arg, what, counts, why);
}

static void finish_failed(probe_t *p, int err)
{
    char why[64];
    snprintf(why, sizeof why, "its probe failed: %s", err_text(err));
    finish(p, err == ERR_TIMEOUT ? HEALTH_TIMEOUT : HEALTH_TCP_FAILURE, true, why);
}

static void on_deadline(io_timer_t *t)
{
    finish_failed(CONTAINER_OF(t, probe_t, deadline), ERR_TIMEOUT);
}

// ---- the answer ----

// The status of "HTTP/1.x NNN", 0 when it is none.
static unsigned status_of(str_t line)
{
    unsigned status = 0;
    if (!str_starts(line, STR("HTTP/1.")) || line.n < STATUS_LINE_MIN || line.p[8] != ' ')
        return 0;
    for (int i = 9; i < STATUS_LINE_MIN; i++) {
        if (line.p[i] < '0' || line.p[i] > '9')
            return 0;
        status = status * 10 + (unsigned)(line.p[i] - '0');
    }
    return status;
}

static void judge(probe_t *p, unsigned status)
{
    char why[48];
    bool good = status_in(&p->good, status), bad = status_in(&p->bad, status);
    snprintf(why, sizeof why, "its probe was answered with %u", status);
    finish(p, good ? HEALTH_SUCCESS : HEALTH_HTTP_FAILURE, good || bad, why);
}

static void on_data(sock_t *s, char *data, size_t n)
{
    probe_t *p = sock_owner(s);
    size_t room = LINE_MAX_BYTES - p->answer.n;
    buf_append(&p->answer, str_make(data, n < room ? n : room));
    str_t line = buf_str(&p->answer);
    if (line.n < STATUS_LINE_MIN)
        return;
    unsigned status = status_of(line);
    if (status == 0)
        finish(p, HEALTH_TCP_FAILURE, true, "its probe was not answered in HTTP");
    else
        judge(p, status);
}

static void on_eof(sock_t *s)
{
    finish_failed(sock_owner(s), ERR_EOF);
}

static void on_error(sock_t *s, int err)
{
    finish_failed(sock_owner(s), err);
}

static void on_drain(sock_t *s)
{
    (void)s;
}

static const sock_events_t EVENTS = {
    .on_data = on_data, .on_eof = on_eof, .on_error = on_error, .on_drain = on_drain};

// ---- asking ----

static void on_connected(void *arg, int err, sock_t *s)
{
    probe_t *p = arg;
    ASSERT(p->connector, "a cancelled connector does not call back");
    p->connector = NULL;
    if (err != 0) {
        finish_failed(p, err);
        return;
    }
    p->sock = s;
    if (p->type == CHECK_TCP) {
        finish(p, HEALTH_SUCCESS, true, "its probe connected");
        return;
    }
    str_t request = buf_str(&p->request);
    sock_own(s, &EVENTS, p);
    sock_resume(s);
    int rc = sock_write(s, &request, 1);
    if (rc != 0)
        finish_failed(p, rc);
}

static void write_request(buf_t *b, const active_checks_t *c, str_t name, uint16_t port)
{
    bool standard = port == (c->type == CHECK_HTTPS ? 443 : 80);
    bool v6 = str_chr(name, ':') >= 0 && name.p[0] != '[' && str_chr(name, '.') < 0;
    buf_printf(b, "GET %.*s HTTP/1.1\r\nHost: ", STR_FMT(c->path));
    buf_printf(b, v6 ? "[%.*s]" : "%.*s", STR_FMT(name));
    if (!standard && str_chr(name, ':') < 0)
        buf_printf(b, ":%u", port);
    buf_append(b, STR("\r\nUser-Agent: moongate/" MOONGATE_VERSION
                      " (health check)\r\nConnection: close\r\n"));
    buf_append(b, c->lines);
    buf_append(b, STR("\r\n"));
}

probe_t *probe_start(loop_t *l, const probe_opts_t *o)
{
    const active_checks_t *c = o->checks;
    probe_t *p = mem_zalloc(sizeof *p);
    ASSERT((c->type == CHECK_HTTPS) == (o->tls != NULL), "TLS is for https, and https for TLS");
    p->loop = l;
    p->type = c->type;
    p->good = c->good;
    p->bad = c->bad;
    p->done = o->done;
    p->arg = o->arg;
    if (c->type != CHECK_TCP)
        write_request(&p->request, c, o->name, o->port);
    io_timer_init(&p->deadline, l, on_deadline);
    io_timer_start(&p->deadline, c->timeout_ms);
    connect_opts_t to = {.host = o->host,
                         .port = o->port,
                         .timeout_ms = c->timeout_ms + 1000, // the probe's own comes first
                         .tls = o->tls,
                         .sni = c->sni.n ? c->sni : o->name,
                         .on_done = on_connected,
                         .arg = p};
    p->connector = sock_connect(l, &to);
    return p;
}

void probe_cancel(probe_t *p)
{
    probe_destroy(p);
}
