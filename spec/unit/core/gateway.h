// A worker in this process without Lua, between clients and upstreams that are plain sockets: every byte and every close is the
// test's. Include it in exactly one file of a program (it includes test.h).
#pragma once

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/conn.h"
#include "core/exchange.h"
#include "core/respond.h"
#include "core/tap.h"
#include "core/worker.h"

enum { PEERS_MAX = 16, LOGGED_MAX = 64 };

// Built with one-byte reads and short writes: chunks and bodies then come in other pieces than they were sent.
#ifdef STRESS
enum { STRESSED = 1 };
#else
enum { STRESSED = 0 };
#endif

// The other end of a connection of the gateway.
typedef struct peer {
    int fd; // -1: free
    buf_t in;
    bool eof, reset;
    bool deaf; // does not read
} peer_t;

typedef struct gateway {
    worker_t w;
    settings_t settings;
    listener_t *listener;
    int fd, up_fd; // listening: the gateway, the upstream
    uint16_t port, up_port;
    peer_t peers[PEERS_MAX];
    unsigned n_logged;
    uint16_t logged[LOGGED_MAX]; // statuses in the order of the log phase
    bool aborted[LOGGED_MAX];
    bool tap_hides; // requests get a tap that hides usage
    bool tap;
} gateway_t;

static gateway_t *gw_now;

static script_result_t gw_enter(request_t *r, uint32_t phase)
{
    if (phase == PHASE_LOG && CHECK(gw_now->n_logged < LOGGED_MAX)) {
        gw_now->logged[gw_now->n_logged] = r->status;
        gw_now->aborted[gw_now->n_logged++] = r->aborted;
    }
    return SCRIPT_DONE;
}

static script_result_t gw_access(request_t *r)
{
    if (gw_now->tap)
        request_watch(r, TAP_OPENAI, gw_now->tap_hides);
    return SCRIPT_DONE;
}

static uint32_t gw_phases_of(void *arg, str_t name)
{
    (void)arg, (void)name;
    return PHASE_ACCESS | PHASE_LOG;
}

static int gw_install(worker_t *w, generation_t *g, char *why, size_t why_cap)
{
    (void)w, (void)why, (void)why_cap;
    generation_set_phases(g, gw_phases_of, NULL);
    return 0;
}

static void gw_on_accept(void *arg, sock_t *s)
{
    conn_open(arg, s, false);
}

static uint16_t gw_listen(int *fd)
{
    addr_t a;
    socklen_t n = sizeof a;
    CHECK_EQ_INT(addr_parse(STR("127.0.0.1:0"), &a), 0);
    CHECK_EQ_INT(listen_bind(&a, 64, false, fd), 0);
    CHECK_EQ_INT(getsockname(*fd, &a.sa, &n), 0);
    return addr_port(&a);
}

static str_t gw_document(char out[1024], uint16_t up_port)
{
    int n =
        snprintf(out, 1024,
                 "{\"format\":1,\"services\":[{\"id\":\"s\",\"name\":\"s\",\"protocol\":"
                 "\"http\",\"host\":\"127.0.0.1\","
                 "\"port\":%u,\"retries\":1,\"connect_timeout\":1000,\"write_timeout\":1000,"
                 "\"read_timeout\":1000}],"
                 "\"routes\":[{\"id\":\"r\",\"name\":\"r\",\"service\":1,\"protocols\":["
                 "\"http\"],\"paths\":[\"/\"],"
                 "\"strip_path\":false},{\"id\":\"n\",\"name\":\"n\",\"service\":null,"
                 "\"protocols\":[\"http\"],"
                 "\"paths\":[\"/none\"]}],"
                 "\"plugins\":[{\"id\":\"p\",\"name\":\"log\",\"enabled\":true,\"config\":{}}],"
                 "\"consumers\":[],\"credentials\":[],\"upstreams\":[],\"certificates\":[]}",
                 up_port);
    return str_make(out, (size_t)n);
}

// settings: "name=value" strings, ended by NULL.
static void gw_open(gateway_t *g, char **settings)
{
    static script_t script;
    char why[512] = "", document[1024], *problems = NULL;
    unsigned n = 0;
    memset(g, 0, sizeof *g);
    gw_now = g;
    log_set_level(LOG_EMERG);
    for (int i = 0; i < PEERS_MAX; i++)
        g->peers[i].fd = -1;
    while (settings && settings[n])
        n++;
    if (!CHECK_EQ_INT(settings_load(&g->settings, NULL, settings, n, NULL, &problems), 0))
        TEST_NOTE("%s", problems);
    g->settings.access_log = STR("off");
    g->port = gw_listen(&g->fd);
    g->up_port = gw_listen(&g->up_fd);
    fcntl(g->up_fd, F_SETFL, O_NONBLOCK);
    script = script_none;
    script.enter = gw_enter;
    script.install = gw_install;
    script.enter_access = gw_access;
    str_t d = gw_document(document, g->up_port);
    worker_opts_t o = {.settings = &g->settings,
                       .script = &script,
                       .document = d.p,
                       .document_n = d.n,
                       .control_fd = -1};
    if (!CHECK_EQ_INT(worker_open(&g->w, &o, why, sizeof why), 0))
        TEST_NOTE("%s", why);
    g->listener = listener_start(
        g->w.loop, &(listener_opts_t){.fd = g->fd, .on_accept = gw_on_accept, .arg = &g->w});
}

// ---- peers ----

static peer_t *gw_peer(gateway_t *g, int fd)
{
    for (int i = 0; i < PEERS_MAX; i++) {
        peer_t *p = &g->peers[i];
        if (p->fd < 0) {
            *p = (peer_t){.fd = fd};
            fcntl(fd, F_SETFL, O_NONBLOCK);
            return p;
        }
    }
    CHECK(!"a free peer");
    abort();
}

static peer_t *gw_dial(gateway_t *g)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons(g->port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ_INT(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return gw_peer(g, fd);
}

static void peer_read(peer_t *p)
{
    char bytes[65536];
    while (p->fd >= 0 && !p->deaf && !p->eof && !p->reset) {
        ssize_t n = recv(p->fd, bytes, sizeof bytes, 0);
        if (n > 0)
            buf_append(&p->in, str_make(bytes, (size_t)n));
        else if (n == 0)
            p->eof = true;
        else if (errno == EAGAIN)
            return;
        else
            p->reset = true;
    }
}

static void gw_turn(gateway_t *g)
{
    loop_turn(g->w.loop, 2);
    for (int i = 0; i < PEERS_MAX; i++)
        peer_read(&g->peers[i]);
}

enum { GW_LIMIT_S = 10 };

#define GW_UNTIL(g, cond)                                                                      \
    do {                                                                                       \
        uint64_t give_up_ = clock_mono_us() + GW_LIMIT_S * 1000000ull;                         \
        while (!(cond) && clock_mono_us() < give_up_)                                          \
            gw_turn(g);                                                                        \
        CHECK(cond);                                                                           \
    } while (0)

__attribute__((unused)) static void gw_pass(gateway_t *g, unsigned ms)
{
    uint64_t until = clock_mono_us() + ms * 1000;
    while (clock_mono_us() < until)
        gw_turn(g);
}

// The next connection that the gateway makes to its upstream.
__attribute__((unused)) static peer_t *gw_accept(gateway_t *g)
{
    int fd = -1;
    uint64_t give_up = clock_mono_us() + GW_LIMIT_S * 1000000ull;
    while (fd < 0 && clock_mono_us() < give_up) {
        gw_turn(g);
        fd = accept(g->up_fd, NULL, NULL);
    }
    if (!CHECK(fd >= 0))
        abort();
    return gw_peer(g, fd);
}

__attribute__((unused)) static bool gw_none_waits(gateway_t *g)
{
    int fd = accept(g->up_fd, NULL, NULL);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static void peer_send(peer_t *p, const char *bytes, size_t n)
{
    CHECK_EQ_INT(send(p->fd, bytes, n, MSG_NOSIGNAL), (ssize_t)n);
}

static void say(peer_t *p, const char *text)
{
    peer_send(p, text, strlen(text));
}

static bool heard(const peer_t *p, const char *text)
{
    return str_find(buf_str(&p->in), str_from(text)) >= 0;
}

__attribute__((unused)) static bool ends_with(const peer_t *p, const char *text)
{
    str_t in = buf_str(&p->in), want = str_from(text);
    return in.n >= want.n && str_eq(str_from_at(in, in.n - want.n), want);
}

__attribute__((unused)) static unsigned count(const peer_t *p, const char *text)
{
    str_t in = buf_str(&p->in);
    unsigned n = 0;
    for (ptrdiff_t at; (at = str_find(in, str_from(text))) >= 0; n++)
        in = str_from_at(in, (size_t)at + strlen(text));
    return n;
}

__attribute__((unused)) static void forget(peer_t *p)
{
    buf_clear(&p->in);
}

static void hang_up(peer_t *p)
{
    if (p->fd >= 0)
        close(p->fd);
    buf_dispose(&p->in);
    *p = (peer_t){.fd = -1};
}

__attribute__((unused)) static void reset(peer_t *p)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    hang_up(p);
}

// Everything ends: no request, no connection, no idle upstream connection, no handle is left.
static void gw_close(gateway_t *g)
{
    for (int i = 0; i < PEERS_MAX; i++)
        hang_up(&g->peers[i]);
    GW_UNTIL(g, g->w.n_conns == 0 && !loop_lingers(g->w.loop));
    CHECK_EQ_INT(g->w.n_requests, 0);
    listener_stop(g->listener);
    worker_close(&g->w); // asserts that nothing is left
    settings_dispose(&g->settings);
    close(g->fd);
    close(g->up_fd);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, n) "POST " path " HTTP/1.1\r\nHost: a\r\nContent-Length: " n "\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define STREAM_HEAD                                                                            \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
