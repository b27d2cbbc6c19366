/* common.h - small helpers shared by the bench tools (mock_llm, rate_load,
 * sse_load).  Loopback only, one thread, epoll. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(2);
}

static inline void *xrealloc(void *p, size_t n)
{
    void *q = realloc(p, n);
    if (!q)
        die("out of memory");
    return q;
}

/* Raise the open-file limit as far as we may (root: up to 200000). */
static inline void raise_nofile(void)
{
    struct rlimit rl = {200000, 200000};
    if (setrlimit(RLIMIT_NOFILE, &rl) == 0)
        return;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
}

static inline struct sockaddr_in loopback(int port)
{
    struct sockaddr_in sa;
    memset(&sa, 0, sizeof sa);
    sa.sin_family = AF_INET;
    sa.sin_port = htons((uint16_t)port);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sa;
}

static inline void set_nodelay(int fd)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static inline int tcp_listen(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct sockaddr_in sa = loopback(port);
    if (fd < 0)
        die("socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        die("bind 127.0.0.1:%d: %s", port, strerror(errno));
    if (listen(fd, 4096) < 0)
        die("listen: %s", strerror(errno));
    return fd;
}

/* Non-blocking connect to 127.0.0.1:port; -1 on failure. */
static inline int tcp_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = loopback(port);
    if (fd < 0)
        return -1;
    set_nodelay(fd);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Read a whole file ("-" is not supported); NUL-terminated. */
static inline char *slurp(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    size_t cap = 0, n = 0;
    char *buf = NULL;
    if (!f)
        die("%s: %s", path, strerror(errno));
    for (;;) {
        if (cap - n < 65536)
            buf = xrealloc(buf, (cap = cap ? cap * 2 : 131072) + 1);
        size_t r = fread(buf + n, 1, cap - n, f);
        if (r == 0)
            break;
        n += r;
    }
    fclose(f);
    buf[n] = 0;
    *len = n;
    return buf;
}

/* ---- HTTP/1.1 message framing -------------------------------------------
 * A tiny incremental decoder for what comes after the header block:
 * Content-Length, chunked, or until close. */

struct httpmsg {
    bool in_body, chunked, until_close, conn_close, done, bad;
    int status;    /* responses: status code */
    uint64_t left; /* Content-Length bytes left, or bytes left in a chunk */
    int cstate;    /* chunked decoder state */
    uint64_t csize;
};

enum { C_SIZE, C_EXT, C_DATA, C_DATA_CRLF, C_TRAILER, C_TRAILER_LINE };

/* Case-insensitive "does this header line have this name"; value start or NULL. */
static inline const char *hdr_is(const char *line, const char *eol, const char *name)
{
    size_t n = strlen(name);
    if ((size_t)(eol - line) <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
        return NULL;
    line += n + 1;
    while (line < eol && (*line == ' ' || *line == '\t'))
        line++;
    return line;
}

/* Parse a complete header block [p, p+n) (ending in CRLFCRLF). */
static inline void httpmsg_head(struct httpmsg *m, const char *p, size_t n, bool response)
{
    const char *end = p + n, *line = p;
    memset(m, 0, sizeof *m);
    m->in_body = true;
    bool have_len = false;
    const char *eol = memchr(line, '\n', (size_t)(end - line));
    if (!eol) {
        m->bad = true;
        return;
    }
    if (response) {
        if (n < 12 || memcmp(p, "HTTP/1.", 7) != 0) {
            m->bad = true;
            return;
        }
        m->status = atoi(p + 9);
        if (p[7] == '0')
            m->conn_close = true;
    }
    for (line = eol + 1; line < end; line = eol + 1) {
        eol = memchr(line, '\n', (size_t)(end - line));
        if (!eol || eol - line <= 1)
            break;
        const char *v;
        switch (*line | 0x20) {
        case 'c':
            if ((v = hdr_is(line, eol, "content-length"))) {
                m->left = strtoull(v, NULL, 10);
                have_len = true;
            } else if ((v = hdr_is(line, eol, "connection"))) {
                if (strncasecmp(v, "close", 5) == 0)
                    m->conn_close = true;
                else if (strncasecmp(v, "keep-alive", 10) == 0)
                    m->conn_close = false;
            }
            break;
        case 't':
            if ((v = hdr_is(line, eol, "transfer-encoding")) &&
                strncasecmp(v, "chunked", 7) == 0)
                m->chunked = true;
            break;
        }
    }
    if (response && !have_len && !m->chunked && m->status >= 200 && m->status != 204 &&
        m->status != 304)
        m->until_close = m->conn_close = true;
    else if (!m->chunked && m->left == 0)
        m->done = true;
}

/* Feed body bytes; calls sink(arg, data, len) for payload; returns bytes used
 * (less than n only when the message ended: m->done). */
typedef void (*body_sink)(void *arg, const char *p, size_t n);

static inline size_t httpmsg_body(struct httpmsg *m, const char *p, size_t n, body_sink sink,
                                  void *arg)
{
    size_t i = 0;
    if (m->done)
        return 0;
    if (!m->chunked) {
        size_t k = m->until_close || m->left > n ? n : (size_t)m->left;
        if (k && sink)
            sink(arg, p, k);
        if (!m->until_close && (m->left -= k) == 0)
            m->done = true;
        return k;
    }
    while (i < n && !m->done) {
        char ch = p[i];
        switch (m->cstate) {
        case C_SIZE:
            if (ch >= '0' && ch <= '9')
                m->csize = m->csize * 16 + (uint64_t)(ch - '0');
            else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f')
                m->csize = m->csize * 16 + (uint64_t)((ch | 0x20) - 'a' + 10);
            else if (ch == ';')
                m->cstate = C_EXT;
            else if (ch == '\n') {
                m->left = m->csize;
                m->cstate = m->csize ? C_DATA : C_TRAILER;
                m->csize = 0;
            } else if (ch != '\r') {
                m->bad = m->done = true;
            }
            i++;
            break;
        case C_EXT:
            if (ch == '\n') {
                m->left = m->csize;
                m->cstate = m->csize ? C_DATA : C_TRAILER;
                m->csize = 0;
            }
            i++;
            break;
        case C_DATA: {
            size_t k = m->left > n - i ? n - i : (size_t)m->left;
            if (sink)
                sink(arg, p + i, k);
            i += k;
            if ((m->left -= k) == 0)
                m->cstate = C_DATA_CRLF;
            break;
        }
        case C_DATA_CRLF:
            if (ch == '\n')
                m->cstate = C_SIZE;
            i++;
            break;
        case C_TRAILER: /* at the start of a trailer line, or the final CRLF */
            if (ch == '\n')
                m->done = true;
            else if (ch != '\r')
                m->cstate = C_TRAILER_LINE;
            i++;
            break;
        case C_TRAILER_LINE:
            if (ch == '\n')
                m->cstate = C_TRAILER;
            i++;
            break;
        }
    }
    return i;
}

/* ---- sample sets --------------------------------------------------------- */

struct samples {
    uint32_t *v; /* nanoseconds / 100 -> 0.1 us units */
    size_t n, cap;
};

static inline void sample_add(struct samples *s, uint64_t ns)
{
    if (s->n == s->cap)
        s->v = xrealloc(s->v, (s->cap = s->cap ? s->cap * 2 : 65536) * sizeof *s->v);
    uint64_t u = ns / 100;
    s->v[s->n++] = u > UINT32_MAX ? UINT32_MAX : (uint32_t)u;
}

static inline int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static inline void sample_sort(struct samples *s)
{
    if (s->n)
        qsort(s->v, s->n, sizeof *s->v, cmp_u32);
}

/* q in [0,1]; microseconds; call sample_sort first */
static inline double sample_q(const struct samples *s, double q)
{
    if (!s->n)
        return 0;
    size_t i = (size_t)(q * (double)(s->n - 1) + 0.5);
    return s->v[i] / 10.0;
}

static inline double sample_mean(const struct samples *s)
{
    double t = 0;
    for (size_t i = 0; i < s->n; i++)
        t += s->v[i];
    return s->n ? t / (double)s->n / 10.0 : 0;
}

static inline void sample_json(const char *name, struct samples *s)
{
    sample_sort(s);
    printf("\"%s\":{\"n\":%zu,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%."
           "1f,\"max\":%.1f}",
           name, s->n, sample_mean(s), sample_q(s, 0.5), sample_q(s, 0.9), sample_q(s, 0.99),
           sample_q(s, 0.999), sample_q(s, 1.0));
}

#endif
