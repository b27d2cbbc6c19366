// Cost of the http room's parsers: nanoseconds and (with perf counters) user instructions a
// call. Not a test. Build and run: make B=build build/lib/http.a build/lib/base.a && gcc -O2
// -D_GNU_SOURCE -Iruntime   spec/bench/micro_http.c build/lib/http.a build/lib/base.a -o
// build/micro_http && build/micro_http
#include "base/buf.h"
#include "http/chunked.h"
#include "http/head.h"
#include "http/json.h"
#include "http/sse.h"
#include "http/uri.h"

#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char REQUEST[] =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: OpenAI/Python "
    "1.54.3\r\n"
    "Accept: application/json\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: "
    "keep-alive\r\n"
    "Content-Type: application/json\r\nContent-Length: 1024\r\n"
    "Authorization: Bearer sk-proj-0123456789abcdef0123456789abcdef0123456789abcdef\r\n"
    "X-Stainless-Lang: python\r\nX-Request-Id: 6f1c9b52-7d3e-4a64-9f0e-0b5a3f1f7c11\r\n"
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
static const char RESPONSE[] = "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 00:00:00 "
                               "GMT\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\nConnection: "
                               "keep-alive\r\nServer: x\r\nCache-Control: no-cache\r\n\r\n";
static const char EVENT[] =
    "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
    "\"model\":\"gpt\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" "
    "word\"},\"finish_reason\":null}]}\n\n";
static const head_limits_t LIMITS = {
    .head_max_bytes = 16384, .target_max_bytes = 8192, .fields_max = 100};
static buf_t small, large, prompt, chunks;

static void request_once(void)
{
    arena_t a = {0};
    request_head_t r;
    const char *why;
    if (request_head_parse(&r, &a, REQUEST, sizeof REQUEST - 1, &LIMITS, &why) != HEAD_OK)
        abort();
    arena_dispose(&a);
}

static void response_once(void)
{
    arena_t a = {0};
    response_head_t r;
    const char *why;
    if (response_head_parse(&r, &a, RESPONSE, sizeof RESPONSE - 1, METHOD_POST, &LIMITS,
                            &why) != HEAD_OK)
        abort();
    arena_dispose(&a);
}

static void find_end_once(void)
{
    size_t scanned = 0;
    if (head_find_end(REQUEST, sizeof REQUEST - 1, &scanned) != sizeof REQUEST - 1)
        abort();
}

static void object_once(const buf_t *b)
{
    arena_t a = {0};
    json_member_t *m;
    uint32_t n;
    json_error_t err;
    if (json_object(buf_str(b), &a, &m, &n, &err) != 0)
        abort();
    arena_dispose(&a);
}

static void small_once(void)
{
    object_once(&small);
}

static void large_once(void)
{
    object_once(&large);
}

static void prompt_once(void)
{
    object_once(&prompt);
}

static void event_once(void)
{
    sse_t s;
    sse_init(&s);
    str_t data, usage;
    if (sse_feed(&s, EVENT, sizeof EVENT - 1) != sizeof EVENT - 1 ||
        !sse_data(str_make(EVENT, sizeof EVENT - 1), &data) ||
        json_get(data, STR("usage"), &usage))
        abort();
}

static void feed_once(void)
{
    sse_t s;
    sse_init(&s);
    if (sse_feed(&s, EVENT, sizeof EVENT - 1) != sizeof EVENT - 1)
        abort();
}

static void chunked_once(void)
{
    chunked_t c;
    str_t in = buf_str(&chunks), out;
    chunked_init(&c);
    while (in.n) {
        if (chunked_feed(&c, &in, &out) == CHUNKED_BAD)
            abort();
    }
}

static void path_once(void)
{
    arena_t a = {0};
    str_t out;
    const char *why;
    if (uri_normalize_path(&a, STR("/v1/chat/completions"), &out, &why) != 0)
        abort();
    arena_dispose(&a);
}

static int counter_open(void)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_HARDWARE,
                                   .size = sizeof attr,
                                   .config = PERF_COUNT_HW_INSTRUCTIONS,
                                   .disabled = 1,
                                   .exclude_kernel = 1,
                                   .exclude_hv = 1};
    return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static void measure(const char *name, void (*once)(void), unsigned times, size_t bytes)
{
    struct timespec start, end;
    long long instructions = 0;
    int fd = counter_open();
    for (unsigned i = 0; i < times / 10 + 1; i++)
        once();
    if (fd >= 0)
        ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned i = 0; i < times; i++)
        once();
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (fd >= 0 && read(fd, &instructions, sizeof instructions) != sizeof instructions)
        instructions = 0;
    double ns =
        ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
        times;
    printf("%-24s %7zu bytes %10.1f ns %8.2f GB/s", name, bytes, ns, (double)bytes / ns);
    printf(fd >= 0 ? " %10lld instructions\n" : "\n", instructions / times);
    close(fd);
}

static void fill_chat(buf_t *b, size_t size)
{
    buf_append(b,
               STR("{\"model\":\"gpt-4o\",\"stream\":true,\"temperature\":0.7,\"messages\":["));
    while (b->n < size)
        buf_append(b, STR("{\"role\":\"user\",\"content\":\"The quick brown fox jumps over the "
                          "lazy dog, again and again.\\n"
                          "It is a long established fact that a reader is distracted by the "
                          "readable content of a "
                          "page when looking at its layout, \\\"quoted\\\" or not. The point "
                          "is a normal distribution "
                          "of letters.\"},"));
    b->n--;
    buf_append(b, STR("]}"));
}

// One long string with escapes and UTF-8 in it.
static void fill_prompt(buf_t *b, size_t size)
{
    buf_append(b, STR("{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\""));
    while (b->n < size)
        buf_append(
            b,
            STR("She wrote: \\\"caf\u00e9 no. 7 \u2014 50\u00a0% off\\\"\\nThen a line with a "
                "\\\\ backslash and a tab\\there. The quick brown fox jumps over "
                "the lazy dog, and nobody minds at all. "));
    buf_append(b, STR("\"}]}"));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*once)(void);
        unsigned times;
    } ALL[] = {{"request_head_parse", request_once, 200000},
               {"response_head_parse", response_once, 200000},
               {"head_find_end", find_end_once, 500000},
               {"json_object_1k", small_once, 200000},
               {"json_object_150k", large_once, 2000},
               {"json_object_1m_prompt", prompt_once, 500},
               {"sse_feed", feed_once, 500000},
               {"sse_and_json_get", event_once, 200000},
               {"chunked_feed", chunked_once, 20000},
               {"uri_normalize_path", path_once, 500000}};
    fill_chat(&small, 1000);
    fill_chat(&large, 150000);
    fill_prompt(&prompt, 1000000);
    for (int i = 0; i < 20; i++)
        buf_printf(&chunks, "%zx\r\n%s\r\n", sizeof EVENT - 1, EVENT);
    buf_append(&chunks, STR("0\r\n\r\n"));
    size_t bytes[] = {
        sizeof REQUEST - 1, sizeof RESPONSE - 1, sizeof REQUEST - 1, small.n,  large.n,
        prompt.n,           sizeof EVENT - 1,    sizeof EVENT - 1,   chunks.n, 20};
    for (size_t i = 0; i < sizeof ALL / sizeof ALL[0]; i++) {
        if (argc < 2 || strstr(ALL[i].name, argv[1]))
            measure(ALL[i].name, ALL[i].once, ALL[i].times, bytes[i]);
    }
    buf_dispose(&small);
    buf_dispose(&large);
    buf_dispose(&prompt);
    buf_dispose(&chunks);
    return 0;
}
