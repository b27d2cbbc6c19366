/* sse_load - many concurrent SSE streams through a gateway, from mock_llm.
 *
 *   sse_load -p port -f request.txt -m streams -n chunks [-d seconds]
 *            [-r ramp_ms] [-i interval_us] [-H hold_s]
 *
 * Keeps m streams open at a time (a finished one is followed by another on
 * the same connection) until the time is up, then waits for the last ones.
 * Each stream must bring a 200, exactly n content chunks in order, and
 * data: [DONE]; anything else counts as incomplete or as an error.
 *   ttft_us    request sent -> first SSE event
 *   delay_us   mock wrote a chunk -> we read it (the mock's time is in it)
 *   jitter_us  |gap between two chunks here - gap at the mock|
 * -H: hold: open m streams, wait until each has its first event, print
 * {"ready":...}, stay so for hold_s or until stdin closes, then hang up. */
#include "common.h"

struct conn {
    int fd;
    bool first, done_seen, active;
    uint64_t sent, last_ts, last_rx, rx;
    uint32_t chunks;
    struct httpmsg msg;
    char *in; /* partial header block, then partial SSE event */
    size_t in_len, in_cap;
};

static int port = 21901, ep, n_want = 100, n_active;
static const char *req;
static size_t req_len;
static struct samples ttft, delay, jitter;
static uint64_t n_started, n_complete, n_incomplete, n_err, n_chunks, n_bytes, n_first,
    n_disorder;
static uint64_t t_measure, t_stop, win_chunks, t_stop_sampling;
static bool hold;
static char rbuf[262144];

static void hang_up(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    if (c->active)
        n_active--;
    c->active = false;
    c->in_len = 0;
}

static void start(struct conn *c)
{
    if (c->fd < 0) {
        if ((c->fd = tcp_connect(port)) < 0) {
            n_err++;
            return;
        }
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
    }
    memset(&c->msg, 0, sizeof c->msg);
    c->first = c->done_seen = false;
    c->chunks = 0;
    c->last_ts = c->last_rx = 0;
    c->in_len = 0;
    c->active = true;
    n_active++;
    n_started++;
    c->sent = now_ns();
    for (int tries = 0;; tries++) {
        ssize_t w = send(c->fd, req, req_len, MSG_NOSIGNAL);
        if (w == (ssize_t)req_len)
            return;
        if (w < 0 && errno == EAGAIN && tries < 2000) { /* still connecting */
            struct timespec ts = {0, 100000};
            nanosleep(&ts, NULL);
            continue;
        }
        n_err++;
        hang_up(c);
        return;
    }
}

static void event(struct conn *c, const char *p, size_t n)
{
    if (n < 6 || memcmp(p, "data:", 5) != 0)
        return; /* comments, blank keep-alives */
    p += 5, n -= 5;
    while (n && *p == ' ')
        p++, n--;
    if (!c->first) {
        c->first = true;
        n_first++;
        if (c->rx >= t_measure)
            sample_add(&ttft, c->rx - c->sent);
    }
    if (n >= 6 && memcmp(p, "[DONE]", 6) == 0) {
        c->done_seen = true;
        return;
    }
    const char *at = memmem(p, n, "\" @", 3);
    if (!at)
        return; /* role, finish or usage chunk */
    uint64_t ts = strtoull(at + 3, NULL, 10);
    c->chunks++;
    n_chunks++;
    if (ts < c->last_ts)
        n_disorder++;
    if (c->rx >= t_measure && c->rx < t_stop_sampling) {
        win_chunks++;
        sample_add(&delay, c->rx > ts ? c->rx - ts : 0);
        if (c->last_ts) {
            int64_t j = (int64_t)(c->rx - c->last_rx) - (int64_t)(ts - c->last_ts);
            sample_add(&jitter, (uint64_t)(j < 0 ? -j : j));
        }
    }
    c->last_ts = ts;
    c->last_rx = c->rx;
}

static void sink(void *arg, const char *p, size_t n)
{
    struct conn *c = arg;
    n_bytes += n;
    while (n) {
        if (c->in_len == 0) { /* whole events straight from the buffer */
            const char *e = memmem(p, n, "\n\n", 2);
            if (e) {
                event(c, p, (size_t)(e - p));
                n -= (size_t)(e + 2 - p);
                p = e + 2;
                continue;
            }
        }
        size_t old = c->in_len;
        if (c->in_len + n > c->in_cap)
            c->in = xrealloc(c->in, c->in_cap = (c->in_len + n) * 2);
        memcpy(c->in + c->in_len, p, n);
        c->in_len += n;
        if (old == 0)
            return;
        char *e = memmem(c->in, c->in_len, "\n\n", 2);
        if (!e)
            return;
        size_t used = (size_t)(e + 2 - c->in), from_new = used - old;
        event(c, c->in, used - 2);
        c->in_len = 0;
        p += from_new, n -= from_new;
    }
}

static void finish(struct conn *c)
{
    if (c->msg.status == 200 && c->chunks == (uint32_t)n_want && c->done_seen)
        n_complete++;
    else if (c->msg.status != 200)
        n_err++;
    else
        n_incomplete++;
    c->active = false;
    n_active--;
    if (c->msg.conn_close)
        hang_up(c);
    if (!hold && now_ns() < t_stop)
        start(c);
}

static void on_input(struct conn *c)
{
    ssize_t r = read(c->fd, rbuf, sizeof rbuf);
    if (r < 0 && errno == EAGAIN)
        return;
    if (r <= 0) {
        if (c->active) {
            if (c->msg.until_close && r == 0) {
                finish(c);
                return;
            }
            if (c->msg.in_body)
                n_incomplete++;
            else
                n_err++;
        }
        hang_up(c);
        return;
    }
    const char *p = rbuf;
    size_t n = (size_t)r;
    c->rx = now_ns();
    if (!c->active)
        return;
    if (!c->msg.in_body) {
        if (c->in_len + n > c->in_cap)
            c->in = xrealloc(c->in, c->in_cap = (c->in_len + n) * 2);
        memcpy(c->in + c->in_len, p, n);
        c->in_len += n;
        const char *e = memmem(c->in, c->in_len, "\r\n\r\n", 4);
        if (!e)
            return;
        size_t hl = (size_t)(e + 4 - c->in), rest = c->in_len - hl;
        httpmsg_head(&c->msg, c->in, hl, true);
        c->in_len = 0;
        p += n - rest;
        n = rest;
    }
    httpmsg_body(&c->msg, p, n, sink, c);
    if (c->msg.bad) {
        n_err++;
        hang_up(c);
    } else if (c->msg.done) {
        finish(c);
    }
}

int main(int argc, char **argv)
{
    const char *file = NULL;
    double secs = 5, hold_s = 0, ramp_ms = 100, warm = 0.5;
    int m = 100, interval_us = 0;
    for (int o; (o = getopt(argc, argv, "p:f:m:n:d:r:i:H:w:")) != -1;) {
        switch (o) {
        case 'p':
            port = atoi(optarg);
            break;
        case 'f':
            file = optarg;
            break;
        case 'm':
            m = atoi(optarg);
            break;
        case 'n':
            n_want = atoi(optarg);
            break;
        case 'd':
            secs = atof(optarg);
            break;
        case 'r':
            ramp_ms = atof(optarg);
            break;
        case 'i':
            interval_us = atoi(optarg);
            break;
        case 'w':
            warm = atof(optarg);
            break;
        case 'H':
            hold = true, hold_s = atof(optarg);
            break;
        default:
            die("see the head of sse_load.c");
        }
    }
    if (!file || m < 1)
        die("usage: sse_load -p port -f request.txt -m streams -n chunks [-d secs] [-r "
            "ramp_ms] [-H hold_s]");
    signal(SIGPIPE, SIG_IGN);
    raise_nofile();
    req = slurp(file, &req_len);
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct conn *cs = calloc((size_t)m, sizeof *cs);
    for (int i = 0; i < m; i++)
        cs[i].fd = -1;
    uint64_t t0 = now_ns(), t_ready = 0;
    t_measure = t0 + (uint64_t)((hold ? 0 : warm) * 1e9 + ramp_ms * 1e6);
    t_stop = t_stop_sampling = t_measure + (uint64_t)(secs * 1e9);
    /* the last streams may run their whole length after t_stop */
    uint64_t t_give_up =
        t_stop + 5000000000ull + (uint64_t)n_want * (uint64_t)interval_us * 1000ull;
    if (hold) {
        t_stop = 0;
        t_give_up = t0 + 60000000000ull;
    }
    int started = 0;
    struct epoll_event evs[512];
    for (;;) {
        uint64_t now = now_ns();
        int should = ramp_ms > 0 ? (int)((double)(now - t0) / 1e6 / ramp_ms * m) + 1 : m;
        while (started < m && started < should)
            start(&cs[started++]);
        if (hold && !t_ready && started == m &&
            (n_first + n_err + n_incomplete >= (uint64_t)m || now > t_give_up)) {
            t_ready = now;
            printf("{\"ready\":%lu,\"errors\":%lu,\"secs\":%.2f}\n", n_first,
                   n_err + n_incomplete, (double)(now - t0) / 1e9);
            fflush(stdout);
            struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
            epoll_ctl(ep, EPOLL_CTL_ADD, 0, &ev);
        }
        if (hold && t_ready && (double)(now - t_ready) / 1e9 > hold_s)
            break;
        if (!hold && ((now >= t_stop && n_active == 0) || now > t_give_up))
            break;
        struct timespec to = {0, started < m ? 500000 : 20000000};
        int n = epoll_pwait2(ep, evs, 512, &to, NULL);
        for (int i = 0; i < n; i++) {
            struct conn *c = evs[i].data.ptr;
            if (!c) { /* stdin: any word, or its end, stops a hold */
                char b[64];
                if (read(0, b, sizeof b) >= 0)
                    t_ready = 1;
                break;
            }
            if (c->fd >= 0)
                on_input(c);
        }
    }
    printf("{\"streams\":%d,\"started\":%lu,\"complete\":%lu,\"incomplete\":%lu,\"errors\":%lu,"
           "\"unfinished\":%d,"
           "\"disorder\":%lu,\"chunks\":%lu,\"bytes\":%lu,\"chunks_per_s\":%.0f,",
           m, n_started, n_complete, n_incomplete, n_err, n_active, n_disorder, n_chunks,
           n_bytes, (double)win_chunks / secs);
    sample_json("ttft_us", &ttft);
    printf(",");
    sample_json("delay_us", &delay);
    printf(",");
    sample_json("jitter_us", &jitter);
    printf("}\n");
    return 0;
}
