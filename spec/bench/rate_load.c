/* rate_load - fixed-rate HTTP/1.1 load, safe against coordinated omission.
 *
 *   rate_load -p port -f request.txt [-r rate/s] [-c connections] [-d seconds] [-w warmup_s]
 *
 * request.txt is the whole request as bytes (CRLF line ends).  Request k is
 * due at start + k/rate whatever happened to the ones before it; its latency
 * runs from that due time to the last byte of its answer, so a stall of the
 * server is charged to every request that should have been sent meanwhile.
 * "service" is from the actual send.  One JSON line is printed. */
#include "common.h"

struct conn {
    int fd;
    bool busy, connecting;
    uint64_t due, sent;
    struct httpmsg msg;
    char *in; /* partial header block */
    size_t in_len, in_cap;
    struct conn *next; /* idle list */
};

static int port = 21901, ep;
static const char *req;
static size_t req_len;
static struct conn *idle;
static struct samples lat, serv, lag;
static uint64_t n_done, n_err, n_non200, n_conn, t_measure;
static int n_busy;
static char rbuf[262144];

static bool conn_open(struct conn *c)
{
    c->fd = tcp_connect(port);
    if (c->fd < 0)
        return false;
    n_conn++;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
    c->in_len = 0;
    memset(&c->msg, 0, sizeof c->msg);
    return true;
}

static void to_idle(struct conn *c)
{
    if (c->busy)
        n_busy--;
    c->busy = false;
    c->next = idle;
    idle = c;
}

static void fail(struct conn *c)
{
    n_err++;
    close(c->fd);
    c->fd = -1;
    to_idle(c);
}

static void start(struct conn *c, uint64_t due)
{
    c->busy = true;
    n_busy++;
    c->due = due;
    c->sent = now_ns();
    if (c->fd < 0 && !conn_open(c)) {
        n_err++;
        to_idle(c);
        return;
    }
    for (size_t off = 0; off < req_len;) { /* requests are small: the socket takes them */
        ssize_t w = send(c->fd, req + off, req_len - off, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno == EAGAIN) { /* connecting, or a large body: wait here */
                struct timespec ts = {0, 50000};
                nanosleep(&ts, NULL);
                continue;
            }
            fail(c);
            return;
        }
        off += (size_t)w;
    }
}

static void finish(struct conn *c)
{
    uint64_t t = now_ns();
    n_done++;
    if (c->msg.status != 200)
        n_non200++;
    if (c->due >= t_measure) {
        sample_add(&lat, t - c->due);
        sample_add(&serv, t - c->sent);
        sample_add(&lag, c->sent - c->due);
    }
    if (c->msg.conn_close) {
        close(c->fd);
        c->fd = -1;
    }
    memset(&c->msg, 0, sizeof c->msg);
    c->in_len = 0;
    to_idle(c);
}

static void on_input(struct conn *c)
{
    ssize_t r = read(c->fd, rbuf, sizeof rbuf);
    if (r < 0 && errno == EAGAIN)
        return;
    if (r <= 0) {
        if (c->busy && r == 0 && c->msg.until_close) {
            finish(c);
            return;
        }
        if (c->busy) {
            fail(c);
        } else { /* the server closed an idle connection */
            close(c->fd);
            c->fd = -1;
        }
        return;
    }
    const char *p = rbuf;
    size_t n = (size_t)r;
    if (!c->busy) {
        n_err++;
        return;
    }
    if (!c->msg.in_body) {
        if (c->in_len) {
            if (c->in_len + n > c->in_cap)
                c->in = xrealloc(c->in, c->in_cap = (c->in_len + n) * 2);
            memcpy(c->in + c->in_len, p, n);
            c->in_len += n;
            p = c->in, n = c->in_len;
        }
        const char *e = memmem(p, n, "\r\n\r\n", 4);
        if (!e) {
            if (c->in_len == 0) {
                if (n > c->in_cap)
                    c->in = xrealloc(c->in, c->in_cap = n * 2);
                memcpy(c->in, p, n);
                c->in_len = n;
            }
            return;
        }
        size_t hl = (size_t)(e + 4 - p);
        httpmsg_head(&c->msg, p, hl, true);
        p += hl, n -= hl;
    }
    httpmsg_body(&c->msg, p, n, NULL, NULL);
    if (c->msg.bad)
        fail(c);
    else if (c->msg.done)
        finish(c);
}

int main(int argc, char **argv)
{
    const char *file = NULL;
    double rate = 1000, secs = 5, warm = 0.5;
    int nconn = 64;
    for (int o; (o = getopt(argc, argv, "p:f:r:c:d:w:")) != -1;) {
        switch (o) {
        case 'p':
            port = atoi(optarg);
            break;
        case 'f':
            file = optarg;
            break;
        case 'r':
            rate = atof(optarg);
            break;
        case 'c':
            nconn = atoi(optarg);
            break;
        case 'd':
            secs = atof(optarg);
            break;
        case 'w':
            warm = atof(optarg);
            break;
        default:
            file = NULL;
            optind = argc;
            break;
        }
    }
    if (!file || rate <= 0 || nconn < 1 || secs <= 0)
        die("usage: rate_load -p port -f request.txt [-r rate] [-c conns] [-d secs] [-w "
            "warmup]");
    signal(SIGPIPE, SIG_IGN);
    raise_nofile();
    req = slurp(file, &req_len);
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct conn *cs = calloc((size_t)nconn, sizeof *cs);
    for (int i = nconn - 1; i >= 0; i--) {
        cs[i].fd = -1;
        if (!conn_open(&cs[i]))
            die("connect 127.0.0.1:%d: %s", port, strerror(errno));
        cs[i].next = idle;
        idle = &cs[i];
    }
    uint64_t t0 = now_ns() + 50000000, k = 0;
    uint64_t total = (uint64_t)(rate * (secs + warm));
    double gap = 1e9 / rate;
    t_measure = t0 + (uint64_t)(warm * 1e9);
    uint64_t t_end = t0 + (uint64_t)((secs + warm) * 1e9), t_give_up = t_end + 3000000000ull;
    struct epoll_event evs[256];
    for (;;) {
        uint64_t now = now_ns();
        uint64_t due = t0 + (uint64_t)((double)k * gap);
        while (k < total && due <= now && idle) {
            struct conn *c = idle;
            idle = c->next;
            start(c, due);
            k++;
            due = t0 + (uint64_t)((double)k * gap);
        }
        if ((k >= total && n_busy == 0) || now > t_give_up)
            break;
        struct timespec to = {0, 100000000};
        if (k < total && idle)
            to.tv_nsec =
                due > now ? (due - now > 100000000 ? 100000000 : (long)(due - now)) : 0;
        int n = epoll_pwait2(ep, evs, 256, &to, NULL);
        for (int i = 0; i < n; i++) {
            struct conn *c = evs[i].data.ptr;
            if (c->fd >= 0)
                on_input(c);
        }
    }
    double el = (double)(now_ns() - t0) / 1e9;
    printf("{\"rate\":%.0f,\"secs\":%.2f,\"sent\":%lu,\"done\":%lu,\"unfinished\":%d,"
           "\"errors\":%lu,\"non200\":%lu,"
           "\"conns\":%lu,\"achieved\":%.1f,",
           rate, el, k, n_done, n_busy, n_err, n_non200, n_conn, (double)n_done / el);
    sample_json("latency_us", &lat);
    printf(",");
    sample_json("service_us", &serv);
    printf(",");
    sample_json("send_lag_us", &lag);
    printf("}\n");
    return 0;
}
