// Asks servers through c-ares: a poll handle for each of its sockets, one timer for its
// timeouts. Invariant: after every call into c-ares the timer is set anew, since each may start
// or end queries.
#include "io/dns_ares.h"

#include <ares.h>
#include <arpa/nameser.h>

#include "base/check.h"
#include "base/log.h"
#include "io/dns_cache.h"
#include "io/dns_srv.h"
#include "io/loop_impl.h"

struct dns_net {
    ares_channel channel;
    loop_t *loop;
    uv_timer_t *timer; // owned; freed in its close callback
    list_t wires;
};

// One of c-ares' sockets.
typedef struct wire {
    uv_poll_t poll;
    list_t links;
    dns_net_t *net;
    ares_socket_t fd;
} wire_t;

typedef struct question {
    dns_net_fn fn;
    void *arg;
} question_t;

static void free_handle(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_ares_timer(uv_timer_t *timer);

static void set_timer(dns_net_t *t)
{
    struct timeval tv;
    if (!ares_timeout(t->channel, NULL, &tv)) {
        uv_timer_stop(t->timer);
        return;
    }
    uint64_t ms = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1;
    uv_timer_start(t->timer, on_ares_timer, ms, 0);
}

static void on_ares_timer(uv_timer_t *timer)
{
    dns_net_t *t = timer->data;
    ares_process_fd(t->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_timer(t);
}

static void on_wire(uv_poll_t *handle, int status, int events)
{
    wire_t *w = handle->data;
    dns_net_t *t = w->net;
    ares_socket_t fd = w->fd; // the wire may be closed by the first call
    bool readable = status < 0 || (events & UV_READABLE),
         writable = status < 0 || (events & UV_WRITABLE);
    ares_process_fd(t->channel, readable ? fd : ARES_SOCKET_BAD,
                    writable ? fd : ARES_SOCKET_BAD);
    set_timer(t);
}

static wire_t *find_wire(dns_net_t *t, ares_socket_t fd)
{
    for (list_t *n = t->wires.next; n != &t->wires; n = n->next) {
        wire_t *w = CONTAINER_OF(n, wire_t, links);
        if (w->fd == fd)
            return w;
    }
    return NULL;
}

static void on_wire_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    dns_net_t *t = arg;
    wire_t *w = find_wire(t, fd);
    if (!readable && !writable) {
        if (!w)
            return;
        list_unlink(&w->links);
        uv_close((uv_handle_t *)&w->poll, free_handle);
        return;
    }
    if (!w) {
        w = mem_zalloc(sizeof *w);
        w->net = t;
        w->fd = fd;
        int rc = uv_poll_init(&t->loop->uv, &w->poll, fd);
        ASSERT(rc == 0, "a resolver's socket can be polled");
        w->poll.data = w;
        list_push_back(&t->wires, &w->links);
    }
    uv_poll_start(&w->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                  on_wire);
}

// ---- answers ----

static void answer(question_t *q, int err, dns_record_t *records, unsigned n, uint64_t ttl_ms)
{
    question_t copy = *q;
    free(q);
    copy.fn(copy.arg, err, records, n, ttl_ms);
}

static int ares_err(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
        return ERR_DNS_NAME;
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED:
        return ERR_ABORTED;
    default:
        return ERR_DNS_FAIL;
    }
}

// Gives back the room that was not used.
static dns_record_t *fit(dns_record_t *records, unsigned n)
{
    if (n > 0)
        return mem_realloc(records, n * sizeof *records);
    free(records);
    return NULL;
}

static void on_srv(void *arg, int status, int timeouts, unsigned char *reply, int len)
{
    unsigned n = 0, ttl_s = 0;
    dns_record_t *records = NULL;
    int err = ares_err(status);
    (void)timeouts;
    if (err == 0) {
        records = mem_zalloc(DNS_RECORDS_MAX * sizeof *records);
        err = dns_parse_srv(reply, (size_t)len, records, DNS_RECORDS_MAX, &n, &ttl_s);
    }
    records = fit(records, n);
    answer(arg, err, records, n, (uint64_t)ttl_s * 1000);
}

// The next address of a family at or after *node; false at the end.
static bool next_of(const struct ares_addrinfo_node **node, int family)
{
    while (*node && (*node)->ai_family != family)
        *node = (*node)->ai_next;
    return *node != NULL;
}

static void take(dns_record_t *out, const struct ares_addrinfo_node *node)
{
    *out = (dns_record_t){0};
    memcpy(&out->addr, node->ai_addr,
           node->ai_family == AF_INET ? sizeof out->addr.in : sizeof out->addr.in6);
}

// IPv4 and IPv6 in turn, so that a broken family costs one attempt and not all of them.
static unsigned interleave(const struct ares_addrinfo *info, dns_record_t *out)
{
    const struct ares_addrinfo_node *v4 = info->nodes, *v6 = info->nodes;
    unsigned n = 0;
    bool more4 = next_of(&v4, AF_INET), more6 = next_of(&v6, AF_INET6);
    while ((more4 || more6) && n < DNS_RECORDS_MAX) {
        if (more4) {
            take(&out[n++], v4);
            v4 = v4->ai_next;
            more4 = next_of(&v4, AF_INET);
        }
        if (more6 && n < DNS_RECORDS_MAX) {
            take(&out[n++], v6);
            v6 = v6->ai_next;
            more6 = next_of(&v6, AF_INET6);
        }
    }
    return n;
}

static uint64_t least_ttl_ms(const struct ares_addrinfo *info)
{
    int least = INT32_MAX;
    for (const struct ares_addrinfo_node *n = info->nodes; n; n = n->ai_next)
        least = n->ai_ttl < least ? n->ai_ttl : least;
    for (const struct ares_addrinfo_cname *n = info->cnames; n; n = n->next)
        least = n->ttl < least ? n->ttl : least;
    return least < 0 ? 0 : (uint64_t)least * 1000;
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    dns_record_t *records = NULL;
    unsigned n = 0;
    uint64_t ttl_ms = 0;
    int err = ares_err(status);
    (void)timeouts;
    if (err == 0) {
        records = mem_alloc(DNS_RECORDS_MAX * sizeof *records);
        n = interleave(info, records);
        ttl_ms = least_ttl_ms(info);
        if (n == 0)
            err = ERR_DNS_NAME;
    }
    records = fit(records, n);
    ares_freeaddrinfo(info);
    answer(arg, err, records, n, ttl_ms);
}

void dns_net_ask(dns_net_t *t, const char *name, dns_type_t type, dns_net_fn fn, void *arg)
{
    question_t *q = mem_alloc(sizeof *q);
    *q = (question_t){.fn = fn, .arg = arg};
    switch (type) {
    case DNS_ADDR: {
        struct ares_addrinfo_hints hints = {
            .ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT, .ai_socktype = SOCK_STREAM};
        ares_getaddrinfo(t->channel, name, NULL, &hints, on_addresses, q);
        break;
    }
    case DNS_SRV:
        ares_search(t->channel, name, ns_c_in, ns_t_srv, on_srv, q);
        break;
    }
    set_timer(t);
}

// ---- life ----

static void set_servers(dns_net_t *t, str_t servers)
{
    char text[1024];
    if (servers.n == 0)
        return;
    if (servers.n < sizeof text) {
        memcpy(text, servers.p, servers.n);
        text[servers.n] = 0;
        if (ares_set_servers_ports_csv(t->channel, text) == ARES_SUCCESS)
            return;
    }
    log_write(LOG_ERR, "dns: servers \"%.*s\" are no list of ip:port; the system's are used",
              STR_FMT(servers));
}

dns_net_t *dns_net_create(loop_t *l, const dns_opts_t *o)
{
    dns_net_t *t = mem_zalloc(sizeof *t);
    struct ares_options a = {.timeout = (int)o->timeout_ms,
                             .tries = (int)o->tries,
                             .lookups = (char[]){"b"}, // the hosts file is dns_hosts.c's
                             .sock_state_cb = on_wire_state,
                             .sock_state_cb_data = t};
    t->loop = l;
    list_init(&t->wires);
    int rc = ares_library_init(ARES_LIB_INIT_ALL);
    ASSERT(rc == ARES_SUCCESS, "c-ares starts");
    rc = ares_init_options(&t->channel, &a,
                           ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                               ARES_OPT_SOCK_STATE_CB);
    ASSERT(rc == ARES_SUCCESS, "c-ares opens a channel");
    set_servers(t, o->servers);
    t->timer = mem_zalloc(sizeof *t->timer);
    uv_timer_init(&l->uv, t->timer);
    t->timer->data = t;
    return t;
}

void dns_net_destroy(dns_net_t *t)
{
    ares_destroy(t->channel); // closes the wires
    ASSERT(list_empty(&t->wires), "c-ares reports every socket it closes");
    t->timer->data = t->timer;
    uv_close((uv_handle_t *)t->timer, free_handle);
    ares_library_cleanup();
    free(t);
}
