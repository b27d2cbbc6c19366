/* mock_llm - a fast mock OpenAI upstream for benchmarks (one epoll thread).
 *
 *   mock_llm [-p port] [-n chunks] [-i interval_us] [-l latency_us] [-k secret]
 *
 *   POST /v1/chat/completions   JSON completion, or SSE when the body has
 *                               "stream":true.  401 unless the request has
 *                               Authorization: Bearer <secret> (sk-upstream).
 *   GET /__set?chunks=&interval_us=&latency_us=&keep=   change the settings
 *   GET /__stats                counters as JSON
 *   GET /__last                 the last POST as it arrived (head + body, cut at 16 KB)
 *
 * An SSE stream is: a role chunk at once, then <chunks> content chunks one
 * interval apart (one write each), a finish chunk, a usage chunk, [DONE].
 * Each content chunk carries the send time (CLOCK_MONOTONIC ns) as its text,
 * so that sse_load can tell the delay that a gateway adds.
 * Bodies over <keep> bytes (64 KB) are drained without being looked at, and
 * answered with JSON. */
#include "common.h"
#include "mock_answers.h"

#define HEAD_MAX 65536
#define LAST_MAX 16384
#define TS_DIGITS 20

static int port = 21900;
static uint64_t cfg_chunks = 100, cfg_interval_ns = 0, cfg_latency_ns = 0, cfg_keep = 65536;
static char secret[256] = "sk-upstream";
static int ep;
static struct {
    uint64_t requests, json, streams, streams_done, unauthorized, bad, chunks, conns, rewritten,
        open;
} st;
static char last_req[LAST_MAX];
static size_t last_len;
static char rbuf[262144];

enum { S_HEAD, S_BODY, S_DELAY, S_STREAM };

struct conn {
    int fd, state, heap;                  /* heap: index in the timer heap, -1 if none */
    bool want_out, closing, auth, stream; /* closing: hang up when all is sent */
    uint64_t due, interval, chunks_left;
    struct httpmsg msg;
    char *in; /* unparsed input, or the kept body */
    size_t in_len, in_cap;
    char *body;
    size_t body_len, body_cap;
    char *out;
    size_t out_len, out_off, out_cap;
};

/* ---- timer heap ---------------------------------------------------------- */
static struct conn **heap;
static int heap_n, heap_cap;

static void heap_put(int i, struct conn *c)
{
    heap[i] = c, c->heap = i;
}

static void heap_up(int i)
{
    struct conn *c = heap[i];
    for (; i > 0 && heap[(i - 1) / 2]->due > c->due; i = (i - 1) / 2)
        heap_put(i, heap[(i - 1) / 2]);
    heap_put(i, c);
}

static void heap_down(int i)
{
    struct conn *c = heap[i];
    for (int k; (k = 2 * i + 1) < heap_n; i = k) {
        if (k + 1 < heap_n && heap[k + 1]->due < heap[k]->due)
            k++;
        if (heap[k]->due >= c->due)
            break;
        heap_put(i, heap[k]);
    }
    heap_put(i, c);
}

static void timer_set(struct conn *c, uint64_t due)
{
    c->due = due;
    if (c->heap < 0) {
        if (heap_n == heap_cap)
            heap = xrealloc(heap,
                            (size_t)(heap_cap = heap_cap ? heap_cap * 2 : 1024) * sizeof *heap);
        heap_put(heap_n++, c);
        heap_up(c->heap);
    } else {
        heap_up(c->heap);
        heap_down(c->heap);
    }
}

static void timer_del(struct conn *c)
{
    int i = c->heap;
    if (i < 0)
        return;
    c->heap = -1;
    struct conn *l = heap[--heap_n];
    if (l != c) {
        heap_put(i, l);
        heap_up(i);
        heap_down(l->heap);
    }
}

/* ---- output -------------------------------------------------------------- */
static void conn_close(struct conn *c)
{
    if (c->state == S_STREAM)
        st.open--;
    timer_del(c);
    close(c->fd);
    free(c->in);
    free(c->body);
    free(c->out);
    c->fd = -1;
    free(c);
}

static void want_out(struct conn *c, bool on)
{
    struct epoll_event ev = {.events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = c};
    if (c->want_out == on)
        return;
    c->want_out = on;
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
}

/* Send now what fits, keep the rest.  False: the connection broke. */
static bool send_bytes(struct conn *c, const char *p, size_t n)
{
    if (c->out_len == c->out_off) {
        ssize_t w = send(c->fd, p, n, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno != EAGAIN)
                return false;
            w = 0;
        }
        p += w, n -= (size_t)w;
        if (n == 0)
            return true;
        c->out_len = c->out_off = 0;
    }
    if (c->out_len + n > c->out_cap)
        c->out = xrealloc(c->out, c->out_cap = (c->out_len + n) * 2);
    memcpy(c->out + c->out_len, p, n);
    c->out_len += n;
    want_out(c, true);
    return true;
}

/* ---- canned answers: mock_answers.h ------------------------------------- */
static char json_answer[4096], json_close[4096]; /* the latter with connection: close */
static size_t json_answer_len, json_close_len;

static size_t put_chunk(char *dst, const char *p, size_t n)
{
    size_t k = (size_t)sprintf(dst, "%zx\r\n", n);
    memcpy(dst + k, p, n);
    memcpy(dst + k + n, "\r\n", 2);
    return k + n + 2;
}

static char tok_frame[1024]; /* a ready content chunk; only the time is filled in */
static size_t tok_len, tok_ts;

static void prepare(void)
{
    char ev[1024];
    json_answer_len =
        (size_t)snprintf(json_answer, sizeof json_answer,
                         "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
                         "%zu\r\n" COMMON_HEADERS "\r\n%s",
                         sizeof json_body - 1, json_body);
    json_close_len =
        (size_t)snprintf(json_close, sizeof json_close,
                         "HTTP/1.1 200 OK\r\nconnection: close\r\n%s", json_answer + 17);
    size_t n = (size_t)sprintf(ev, "%s%0*d%s", ev_tok_a, TS_DIGITS, 0, ev_tok_b);
    tok_len = put_chunk(tok_frame, ev, n);
    tok_ts = (size_t)((char *)memmem(tok_frame, tok_len, "@", 1) - tok_frame) + 1;
}

static bool answer(struct conn *c, int status, const char *reason, const char *body, size_t n)
{
    char buf[LAST_MAX + 512];
    int k = snprintf(
        buf, sizeof buf,
        "HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%.*s",
        status, reason, n, (int)n, body);
    return send_bytes(c, buf, (size_t)k);
}

/* ---- streams ------------------------------------------------------------- */
static bool stream_chunk(struct conn *c)
{
    char *d = tok_frame + tok_ts + TS_DIGITS;
    uint64_t t = now_ns();
    for (int i = 0; i < TS_DIGITS; i++, t /= 10)
        *--d = (char)('0' + t % 10);
    st.chunks++;
    c->chunks_left--;
    return send_bytes(c, tok_frame, tok_len);
}

static bool stream_end(struct conn *c)
{
    char buf[2048];
    size_t n = put_chunk(buf, ev_end, sizeof ev_end - 1);
    n += put_chunk(buf + n, ev_usage, sizeof ev_usage - 1);
    n += put_chunk(buf + n, ev_done, sizeof ev_done - 1);
    memcpy(buf + n, "0\r\n\r\n", 5);
    c->state = S_HEAD;
    st.streams_done++;
    st.open--;
    return send_bytes(c, buf, n + 5) && (!c->closing || c->out_len > c->out_off);
}

/* Send what is due.  With interval 0, a few chunks a turn so that all
 * streams advance; stop when the socket is full. */
static bool stream_run(struct conn *c)
{
    for (int k = 0; c->chunks_left; k++) {
        if (c->out_len > c->out_off)
            return true; /* EPOLLOUT brings us back */
        if (c->interval ? k == 1 : k == 4) {
            timer_set(c, c->interval ? c->due + c->interval : now_ns());
            return true;
        }
        if (!stream_chunk(c))
            return false;
    }
    return stream_end(c);
}

static bool stream_start(struct conn *c)
{
    char buf[2048];
    size_t n = sizeof sse_head - 1;
    memcpy(buf, sse_head, n);
    n += put_chunk(buf + n, ev_role, sizeof ev_role - 1);
    c->state = S_STREAM;
    st.streams++;
    st.open++;
    c->interval = cfg_interval_ns;
    c->chunks_left = cfg_chunks;
    if (!send_bytes(c, buf, n))
        return false;
    timer_set(c, now_ns() + c->interval);
    return true;
}

/* ---- requests ------------------------------------------------------------ */
static uint64_t query_num(const char *line, const char *key, uint64_t dflt)
{
    char pat[64];
    int n = snprintf(pat, sizeof pat, "%s=", key);
    const char *p = strstr(line, pat);
    return p ? strtoull(p + n, NULL, 10) : dflt;
}

static bool control(struct conn *c, const char *head)
{
    char line[512], out[1024];
    size_t n = strcspn(head, "\r\n");
    snprintf(line, sizeof line, "%.*s", (int)(n > 500 ? 500 : n), head);
    if (strncmp(line, "GET /__set", 10) == 0) {
        cfg_chunks = query_num(line, "chunks", cfg_chunks);
        cfg_interval_ns = query_num(line, "interval_us", cfg_interval_ns / 1000) * 1000;
        cfg_latency_ns = query_num(line, "latency_us", cfg_latency_ns / 1000) * 1000;
        cfg_keep = query_num(line, "keep", cfg_keep);
    } else if (strncmp(line, "GET /__last", 11) == 0) {
        return answer(c, 200, "OK", last_req, last_len);
    } else if (strncmp(line, "GET /__stats", 12) != 0) {
        return answer(c, 404, "Not Found", "{}", 2);
    }
    n = (size_t)snprintf(
        out, sizeof out,
        "{\"requests\":%lu,\"json\":%lu,\"streams\":%lu,\"streams_done\":%lu,\"streams_open\":%"
        "lu,"
        "\"unauthorized\":%lu,\"bad\":%lu,\"chunks\":%lu,\"conns\":%lu,\"rewritten\":%lu,"
        "\"cfg_chunks\":%lu,\"cfg_interval_us\":%lu,\"cfg_latency_us\":%lu}",
        st.requests, st.json, st.streams, st.streams_done, st.open, st.unauthorized, st.bad,
        st.chunks, st.conns, st.rewritten, cfg_chunks, cfg_interval_ns / 1000,
        cfg_latency_ns / 1000);
    return answer(c, 200, "OK", out, n);
}

static bool has(const char *p, size_t n, const char *lit)
{
    return memmem(p, n, lit, strlen(lit)) != NULL;
}

/* The reply proper, after any injected latency. */
static bool reply(struct conn *c)
{
    c->state = S_HEAD;
    if (c->stream)
        return stream_start(c);
    st.json++;
    if (c->closing)
        return send_bytes(c, json_close, json_close_len) && c->out_len > c->out_off;
    return send_bytes(c, json_answer, json_answer_len);
}

static bool request_done(struct conn *c, const char *body, size_t n)
{
    static const char unauth[] =
        "{\"error\":{\"message\":\"Incorrect API key provided.\",\"type\":"
        "\"invalid_request_error\",\"param\":null,\"code\":\"invalid_api_key\"}}";
    st.requests++;
    if (!c->auth) {
        st.unauthorized++;
        c->state = S_HEAD;
        return answer(c, 401, "Unauthorized", unauth, sizeof unauth - 1);
    }
    c->stream = n && (has(body, n, "\"stream\":true") || has(body, n, "\"stream\": true"));
    if (n && has(body, n, "\"gpt-4o\"") &&
        (has(body, n, "\"max_tokens\":512") || has(body, n, "\"max_tokens\": 512")))
        st.rewritten++;
    if (cfg_latency_ns) {
        c->state = S_DELAY;
        timer_set(c, now_ns() + cfg_latency_ns);
        return true;
    }
    return reply(c);
}

static void keep(char **buf, size_t *len, size_t *cap, const char *p, size_t n)
{
    if (*len + n > *cap)
        *buf = xrealloc(*buf, *cap = (*len + n) * 2);
    memcpy(*buf + *len, p, n);
    *len += n;
}

static void note_last(const char *p, size_t n)
{
    if (n > LAST_MAX - last_len)
        n = LAST_MAX - last_len;
    memcpy(last_req + last_len, p, n);
    last_len += n;
}

static void body_bytes(void *arg, const char *p, size_t n)
{
    struct conn *c = arg;
    note_last(p, n);
    if (c->body_len < cfg_keep)
        keep(&c->body, &c->body_len, &c->body_cap, p, n > cfg_keep ? cfg_keep : n);
}

/* Handle input; returns false when the connection must be closed.
 * p may point into c->in. */
static bool feed(struct conn *c, const char *p, size_t n)
{
    while (n) {
        if (c->state == S_HEAD) {
            const char *e = memmem(p, n, "\r\n\r\n", 4);
            if (!e) {
                if (n > HEAD_MAX) {
                    st.bad++;
                    return false;
                }
                break; /* keep for later */
            }
            size_t hl = (size_t)(e + 4 - p);
            if (memcmp(p, "GET ", 4) == 0) {
                if (!control(c, p))
                    return false;
                p += hl, n -= hl;
                continue;
            }
            httpmsg_head(&c->msg, p, hl, false);
            c->auth = false;
            c->closing = c->msg.conn_close;
            for (const char *line = memchr(p, '\n', hl) + 1, *eol; line < e; line = eol + 1) {
                const char *v;
                eol = memchr(line, '\n', (size_t)(e + 2 - line));
                if ((*line | 0x20) == 'a' && (v = hdr_is(line, eol, "authorization"))) {
                    size_t k = strlen(secret);
                    c->auth = (size_t)(eol - v) >= 7 + k && memcmp(v, "Bearer ", 7) == 0 &&
                              memcmp(v + 7, secret, k) == 0 && v[7 + k] == '\r';
                }
            }
            last_len = 0;
            note_last(p, hl);
            p += hl, n -= hl;
            if (!c->msg.chunked && c->msg.left <= n) { /* the usual case: all here */
                size_t bl = (size_t)c->msg.left;
                note_last(p, bl);
                if (!request_done(c, p, bl > cfg_keep ? 0 : bl))
                    return false;
                p += bl, n -= bl;
                continue;
            }
            c->body_len = 0;
            c->state = S_BODY;
        } else if (c->state == S_BODY) {
            size_t k = httpmsg_body(&c->msg, p, n, body_bytes, c);
            p += k, n -= k;
            if (c->msg.bad) {
                st.bad++;
                return false;
            }
            if (c->msg.done &&
                !request_done(c, c->body, c->body_len >= cfg_keep ? 0 : c->body_len))
                return false;
        } else {
            break; /* busy answering: keep pipelined bytes */
        }
    }
    if (p >= c->in && p < c->in + c->in_cap) { /* came from the kept input */
        memmove(c->in, p, n);
        c->in_len = n;
    } else {
        c->in_len = 0;
        if (n)
            keep(&c->in, &c->in_len, &c->in_cap, p, n);
    }
    return true;
}

static bool on_input(struct conn *c)
{
    ssize_t r = read(c->fd, rbuf, sizeof rbuf);
    if (r == 0)
        return false;
    if (r < 0)
        return errno == EAGAIN;
    if (c->in_len == 0)
        return feed(c, rbuf, (size_t)r);
    keep(&c->in, &c->in_len, &c->in_cap, rbuf, (size_t)r);
    return feed(c, c->in, c->in_len);
}

static bool on_output(struct conn *c)
{
    while (c->out_off < c->out_len) {
        ssize_t w = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
        if (w < 0)
            return errno == EAGAIN;
        c->out_off += (size_t)w;
    }
    c->out_off = c->out_len = 0;
    if (c->closing && c->state == S_HEAD)
        return false;
    want_out(c, false);
    /* a stream that had stopped on the full socket goes on */
    return c->state == S_STREAM && c->heap < 0 ? stream_run(c) : true;
}

static bool on_timer(struct conn *c)
{
    if (c->state == S_STREAM)
        return stream_run(c);
    if (c->state == S_DELAY)
        return reply(c);
    return true;
}

static volatile sig_atomic_t stop;
static void on_term(int sig)
{
    (void)sig, stop = 1;
}

int main(int argc, char **argv)
{
    for (int o; (o = getopt(argc, argv, "p:n:i:l:k:")) != -1;) {
        switch (o) {
        case 'p':
            port = atoi(optarg);
            break;
        case 'n':
            cfg_chunks = strtoull(optarg, NULL, 10);
            break;
        case 'i':
            cfg_interval_ns = strtoull(optarg, NULL, 10) * 1000;
            break;
        case 'l':
            cfg_latency_ns = strtoull(optarg, NULL, 10) * 1000;
            break;
        case 'k':
            snprintf(secret, sizeof secret, "%s", optarg);
            break;
        default:
            die("usage: mock_llm [-p port] [-n chunks] [-i interval_us] [-l latency_us] [-k "
                "secret]");
        }
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_term);
    signal(SIGINT, on_term);
    raise_nofile();
    prepare();
    int ls = tcp_listen(port);
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL}, evs[512];
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);
    while (!stop) {
        struct timespec to, *pto = NULL;
        if (heap_n) {
            uint64_t now = now_ns(), d = heap[0]->due > now ? heap[0]->due - now : 0;
            to.tv_sec = (time_t)(d / 1000000000ull);
            to.tv_nsec = (long)(d % 1000000000ull);
            pto = &to;
        }
        int n = epoll_pwait2(ep, evs, 512, pto, NULL);
        for (int i = 0; i < n; i++) {
            struct conn *c = evs[i].data.ptr;
            if (!c) {
                for (int fd;
                     (fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                    set_nodelay(fd);
                    c = calloc(1, sizeof *c);
                    if (!c)
                        die("out of memory");
                    c->fd = fd;
                    c->heap = -1;
                    st.conns++;
                    ev.events = EPOLLIN;
                    ev.data.ptr = c;
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
                }
                continue;
            }
            bool ok = true;
            if (evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                ok = on_input(c);
            if (ok && (evs[i].events & EPOLLOUT))
                ok = on_output(c);
            if (!ok)
                conn_close(c);
        }
        if (heap_n) {
            uint64_t now = now_ns();
            for (int k = 0; heap_n && heap[0]->due <= now && k < 4096; k++) {
                struct conn *c = heap[0];
                timer_del(c);
                if (!on_timer(c))
                    conn_close(c);
            }
        }
    }
    return 0;
}
