// A worker's life: open everything, install configurations, run, drain, close in the opposite order.
// Not the master (master.c) nor the messages between them (control.c).
#include "core/worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/anchors.h"
#include "core/conn.h"
#include "core/control.h"
#include "core/file.h"
#include "core/hello.h"
#include "core/identity.h"
#include "core/node.h"
#include "core/peer.h"
#include "core/prober.h"
#include "core/respond.h"
#include "core/stats.h"
#include "core/stream.h"
#include "core/tunnel.h"
#include "core/upstreams.h"
#include "io/dns.h"

enum { BEAT_MS = 200 };

worker_t *worker_self;

// ---- small parts ----

static void seed(worker_t *w)
{
    unsigned char bytes[32];
    ssize_t n = getrandom(bytes, sizeof bytes, 0);
    ASSERT(n == (ssize_t)sizeof bytes, "the kernel gives random bytes");
    memcpy(w->id_seed, bytes, sizeof w->id_seed);
    const unsigned char *b = bytes + 16;
    snprintf(w->node_id, sizeof w->node_id,
             "%02x%02x%02x%02x-%02x%02x-4%x%02x-8%x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6] & 15, b[7], b[8] & 15, b[9], b[10], b[11], b[12],
             b[13], b[14], b[15]);
}

str_t worker_date(worker_t *w)
{
    uint64_t now_s = clock_wall_us() / 1000000;
    if (now_s != w->date_s) {
        struct tm tm;
        time_t t = (time_t)now_s;
        gmtime_r(&t, &tm);
        strftime(w->date, sizeof w->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        w->date_s = now_s;
    }
    return str_make(w->date, 29);
}

static void beat(io_timer_t *t)
{
    worker_t *w = CONTAINER_OF(t, worker_t, beat_timer);
    *w->heartbeat = clock_mono_us() / 1000;
    io_timer_start(t, BEAT_MS);
}

static void touch_peers(io_timer_t *t)
{
    peers_touch(CONTAINER_OF(t, worker_t, peers_timer)->peers);
    io_timer_start(t, HEALTH_KEPT_S * 1000 / 4);
}

static int read_trusted(worker_t *w, char *why, size_t why_cap)
{
    const settings_t *s = w->settings;
    w->trusted = mem_zalloc((s->n_trusted_ips + 1) * sizeof *w->trusted);
    for (uint32_t i = 0; i < s->n_trusted_ips; i++) {
        if (cidr_parse(s->trusted_ips[i], &w->trusted[i]) != 0) {
            snprintf(why, why_cap, "trusted_ips: '%.*s' is no IP address or CIDR block",
                     STR_FMT(s->trusted_ips[i]));
            return -1;
        }
        w->n_trusted++;
    }
    return 0;
}

// ---- TLS of the listeners ----

static tls_cert_t *pick_certificate(void *arg, str_t sni)
{
    worker_t *w = arg;
    const certificate_t *c = w->gen ? certificate_for(w->gen, sni) : NULL;
    tls_cert_t *own = c ? identity_certificate(w->gen, c) : NULL;
    return own ? own : w->default_cert;
}

static int default_certificate(worker_t *w, char *why, size_t why_cap)
{
    const settings_t *s = w->settings;
    const char *detail = "";
    buf_t cert = {0}, key = {0};
    char *cert_pem = NULL, *key_pem = NULL;
    int err;
    if (s->ssl_cert.n) {
        err = file_read(s->ssl_cert, &cert) | file_read(s->ssl_cert_key, &key);
        detail = "file cannot be read";
    } else {
        err = tls_self_signed(STR("localhost"), &cert_pem, &key_pem);
    }
    str_t c = cert_pem ? str_from(cert_pem) : buf_str(&cert);
    str_t k = key_pem ? str_from(key_pem) : buf_str(&key);
    if (err == 0)
        err = tls_cert_create(c, k, &w->default_cert, &detail);
    if (err != 0)
        snprintf(why, why_cap, "ssl_cert, ssl_cert_key: %s", detail);
    buf_dispose(&cert);
    buf_dispose(&key);
    free(cert_pem);
    free(key_pem);
    return err == 0 ? 0 : -1;
}

static bool any_tls(const listen_setting_t *l, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (l[i].tls)
            return true;
    }
    return false;
}

// Clients of the Admin API's TLS listeners show a certificate of admin_client_ca, when there is one.
static int ask_for_certificates(worker_t *w, char *why, size_t why_cap)
{
    str_t path = w->settings->admin_client_ca;
    const char *detail = "cannot be read";
    buf_t ca = {0};
    int err = path.n ? file_read(path, &ca) : 0;
    if (path.n && err == 0)
        err = tls_server_require_client(w->tls, buf_str(&ca), &detail);
    buf_dispose(&ca);
    if (err != 0)
        snprintf(why, why_cap, "admin_client_ca: %.*s: %s", STR_FMT(path), detail);
    return err == 0 ? 0 : -1;
}

static int open_tls(worker_t *w, char *why, size_t why_cap)
{
    const settings_t *s = w->settings;
    buf_t ca = {0};
    if (s->ca_file.n && file_read(s->ca_file, &ca) != 0) {
        snprintf(why, why_cap, "ca_file: %.*s cannot be read", STR_FMT(s->ca_file));
        return -1;
    }
    w->ca_pem = buf_str(&ca); // owned from here on; freed in worker_close
    if (!ca.p)
        w->ca_pem = STR("");
    w->anchors = anchors_create(w->loop, w->ca_pem);
    if (!any_tls(s->proxy_listen, s->n_proxy_listen) &&
        !any_tls(s->status_listen, s->n_status_listen))
        return 0;
    if (default_certificate(w, why, why_cap) != 0)
        return -1;
    w->tls = tls_server_create(pick_certificate, w);
    if (w->admin)
        return ask_for_certificates(w, why, why_cap);
    tls_server_set_ticket_secret(w->tls,
                                 node_ticket_secret()); // a session resumes at any worker
    return 0;
}

// ---- listeners ----

static bool overloaded(const worker_t *w)
{
    return w->settings->connections_max && w->n_conns >= w->settings->connections_max;
}

static void refuse_connection(sock_t *s)
{
    static const str_t ANSWER =
        STR("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
            "Content-Type: application/json; charset=utf-8\r\nContent-Length: 50\r\n\r\n"
            "{\"message\":\"Too many connections to this gateway\"}");
    if (sock_write(s, &ANSWER, 1) == 0)
        sock_close_linger(s, 500);
    else
        sock_close(s);
}

static void on_accept(void *arg, sock_t *s)
{
    worker_t *w = arg;
    if (overloaded(w))
        refuse_connection(s);
    else
        conn_open(w, s, false);
}

static void on_status_accept(void *arg, sock_t *s)
{
    conn_open(arg, s, true);
}

static void on_tls_error(void *arg, const addr_t *peer, int err, const char *why)
{
    (void)arg;
    char ip[64];
    size_t n = addr_ip_text(peer, ip, sizeof ip);
    stat_fixed_add(SF_TLS_ERRORS, 1);
    log_write(LOG_INFO, "TLS handshake with %.*s: %s: %s", (int)n, ip, err_text(err),
              why ? why : "");
}

static const str_t PLAIN_ANSWER =
    STR("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
        "Content-Type: application/json; charset=utf-8\r\nContent-Length: 60\r\n\r\n"
        "{\"message\":\"The plain HTTP request was sent to HTTPS port\"}\n");

static void listen_on(worker_t *w, int fd, bool tls, void (*accept)(void *, sock_t *))
{
    listener_opts_t o = {.fd = fd,
                         .tls = tls ? w->tls : NULL,
                         .plain_answer = PLAIN_ANSWER,
                         .on_accept = accept,
                         .on_tls_error = on_tls_error,
                         .on_hello = hello_begin,
                         .on_hello_gone = hello_gone,
                         .arg = w};
    ASSERT(w->n_listeners < sizeof w->listeners / sizeof w->listeners[0], "too many listeners");
    w->listeners[w->n_listeners++] = listener_start(w->loop, &o);
}

static void start_listeners(worker_t *w, const int *fds)
{
    const settings_t *s = w->settings;
    for (uint32_t i = 0; i < s->n_proxy_listen; i++)
        listen_on(w, fds[i], s->proxy_listen[i].tls, on_accept);
    for (uint32_t i = 0; i < s->n_status_listen; i++)
        listen_on(w, fds[s->n_proxy_listen + i], s->status_listen[i].tls, on_status_accept);
}

// The status listeners come last, so that a draining worker still answers its probes: `from` is the first to stop.
static void stop_listeners(worker_t *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        if (w->listeners[i])
            listener_stop(w->listeners[i]);
        w->listeners[i] = NULL;
    }
}

// ---- configurations ----

// Whether somebody's certificate is likely to be verified: a service's, or a provider's of a plugin for AI.
static bool verifies_peers(const generation_t *g)
{
    static const str_t AI = STR("ai-");
    for (uint32_t i = 0; i < g->n_services; i++) {
        if (g->services[i].https && g->services[i].tls_verify != 0)
            return true;
    }
    for (uint32_t i = 0; i < g->n_plugins; i++) {
        if (str_starts(g->plugins[i].name, AI))
            return true;
    }
    return false;
}

int worker_adopt(worker_t *w, generation_t *g, char *why, size_t why_cap)
{
    static uint64_t number; // of the process
    g->number = ++number;
    if (w->script->install(w, g, why, why_cap) != 0) {
        generation_release(g);
        return -1;
    }
    generation_t *old = w->gen;
    upstreams_install(w, g);
    w->gen = g;
    prober_install(w->prober);
    if (verifies_peers(g))
        anchors_read_ahead(w->anchors);
    if (old)
        generation_release(old);
    return 0;
}

int worker_install(worker_t *w, str_t document, char *why, size_t why_cap)
{
    generation_t *g;
    if (generation_create(document, 0, &g, why, why_cap) != 0)
        return -1;
    return worker_adopt(w, g, why, why_cap);
}

// ---- opening and closing ----

static void init_limits(worker_t *w)
{
    w->limits = (head_limits_t){.head_max_bytes = w->settings->head_max_bytes,
                                .target_max_bytes = w->settings->target_max_bytes,
                                .fields_max = w->settings->fields_max};
}

int worker_use_settings(worker_t *w, const settings_t *s, char *why, size_t why_cap)
{
    w->settings = s;
    init_limits(w);
    free(w->trusted);
    w->n_trusted = 0;
    return read_trusted(w, why, why_cap);
}

static int open_log(worker_t *w, char *why, size_t why_cap)
{
    int err = 0;
    w->access_log = access_log_open(w->loop, w->settings->access_log, &err);
    if (err != 0)
        snprintf(why, why_cap, "access_log: %.*s cannot be opened: %s",
                 STR_FMT(w->settings->access_log), strerror(-err));
    return err == 0 ? 0 : -1;
}

static void on_drain_deadline(io_timer_t *t);

int worker_open(worker_t *w, const worker_opts_t *o, char *why, size_t why_cap)
{
    *w = (worker_t){
        .index = o->index, .settings = o->settings, .script = o->script, .admin = o->admin};
    worker_self = w;
    w->loop = loop_create();
    w->heartbeat = o->heartbeat;
    list_init(&w->conns);
    list_init(&w->requests);
    list_init(&w->hellos);
    io_timer_init(&w->beat_timer, w->loop, beat);
    io_timer_init(&w->drain_timer, w->loop, on_drain_deadline);
    streams_init(w);
    seed(w);
    w->pools = pools_create(w);
    w->peers = peers_create();
    w->prober = prober_create(w);
    io_timer_init(&w->peers_timer, w->loop, touch_peers);
    io_timer_start(&w->peers_timer, HEALTH_KEPT_S * 1000 / 4);
    dns_opts_t dns = {.servers = o->settings->dns_servers};
    dns_configure(w->loop, &dns);
    if (worker_use_settings(w, o->settings, why, why_cap) != 0 ||
        open_tls(w, why, why_cap) != 0 || open_log(w, why, why_cap) != 0 ||
        w->script->open(w, why, why_cap) != 0 ||
        worker_install(w, str_make(o->document, o->document_n), why, why_cap) != 0) {
        worker_close(w); // the scripts' timer ticks
        return -1;
    }
    return 0;
}

void worker_close(worker_t *w)
{
    w->stopping = true;
    stop_listeners(w, 0, w->n_listeners);
    while (!list_empty(&w->conns))
        conn_close(CONTAINER_OF(w->conns.next, conn_t, links), true);
    ASSERT(list_empty(&w->requests), "a request outlived its connection");
    w->script->finish(w);
    w->script->close(w);
    pools_destroy(w->pools);
    prober_destroy(w->prober);
    if (w->gen)
        generation_release(w->gen);
    peers_destroy(w->peers);
    io_timer_stop(&w->peers_timer);
    io_timer_stop(&w->beat_timer);
    io_timer_stop(&w->drain_timer);
    streams_stop(w);
    if (w->access_log)
        access_log_close(w->access_log);
    if (w->tls)
        tls_release(w->tls);
    if (w->default_cert)
        tls_cert_release(w->default_cert);
    anchors_destroy(w->anchors);
    if (w->ca_pem.n)
        free((char *)(uintptr_t)w->ca_pem.p);
    free(w->trusted);
    loop_destroy(w->loop);
    worker_self = NULL;
}

// Clients that were told of the end have a moment to take their answers. A second signal ends this too: it kills.
static void settle(worker_t *w)
{
    uint64_t until_ms = loop_now_ms(w->loop) + w->settings->lingering_ms;
    while (w->drain_closed && loop_lingers(w->loop) && loop_now_ms(w->loop) < until_ms)
        loop_turn(w->loop, 20);
}

int worker_run(const worker_opts_t *o)
{
    char why[1024] = "";
    worker_t w;
    if (worker_open(&w, o, why, sizeof why) != 0) {
        log_write(LOG_EMERG, "worker %u cannot start: %s", o->index, why);
        return 1;
    }
    start_listeners(&w, o->listen_fds);
    if (w.heartbeat)
        beat(&w.beat_timer);
    streams_start(&w);
    control_t *control = control_start(&w, o->control_fd);
    loop_run(w.loop);
    control_stop(control);
    settle(&w);
    worker_close(&w);
    return 0;
}

// ---- the end ----

void worker_stop(worker_t *w)
{
    w->stopping = true;
    loop_stop(w->loop);
}

static bool has_proxy_work(const worker_t *w)
{
    for (const list_t *l = w->requests.next; l != &w->requests; l = l->next) {
        const request_t *r = CONTAINER_OF(l, request_t, links);
        if (!(r->conn && r->conn->status))
            return true;
    }
    for (const list_t *l = w->conns.next; l != &w->conns; l = l->next) {
        const conn_t *c = CONTAINER_OF(l, conn_t, links);
        if (!c->status && conn_has_work(c))
            return true;
    }
    return false;
}

void worker_check_drained(worker_t *w)
{
    if (w->draining && w->drain_closed && !w->stopping && !has_proxy_work(w))
        worker_stop(w);
}

static void close_idle_connections(worker_t *w)
{
    for (list_t *l = w->conns.next, *next; l != &w->conns; l = next) {
        next = l->next;
        conn_t *c = CONTAINER_OF(l, conn_t, links);
        if (!c->status && !conn_has_work(c))
            conn_leave(c, false);
    }
}

// What is still streaming at the end of the drain gets one last event and a clean end where the protocol has one.
static void cut_request(request_t *r)
{
    request_hold(r);
    if (stream_is_open(r)) {
        stream_cut(r, "gateway_shutdown", "stream_interrupted", "the gateway is shutting down");
    } else if (r->tunnel) {
        tunnel_cut(r, "the gateway is shutting down");
    } else if (!r->finished && !r->head_sent && r->state != REQ_PLUGINS) {
        respond_error(r, 503, "the gateway is shutting down");
    }
    request_drop(r);
}

static void cut_requests(worker_t *w)
{
    for (list_t *l = w->requests.next, *next; l != &w->requests; l = next) {
        next = l->next;
        cut_request(CONTAINER_OF(l, request_t, links));
    }
}

static void on_drain_deadline(io_timer_t *t)
{
    worker_t *w = CONTAINER_OF(t, worker_t, drain_timer);
    if (w->drain_closed) {
        cut_requests(w);
        worker_stop(w);
        return;
    }
    w->drain_closed = true;
    stop_listeners(w, 0, w->settings->n_proxy_listen);
    close_idle_connections(w);
    io_timer_start(t, w->settings->drain_timeout_ms ? w->settings->drain_timeout_ms : 1);
    worker_check_drained(w);
}

void worker_drain(worker_t *w)
{
    if (w->draining)
        return;
    w->draining = true;
    log_write(LOG_NOTICE, "worker %u draining: %u requests, %u connections", w->index,
              w->n_requests, w->n_conns);
    io_timer_start(&w->drain_timer, w->settings->drain_delay_ms);
}
