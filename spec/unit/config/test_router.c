// The router: matching against a naive reference on random route sets, fixed cases of priorities,
// and times. Upstream paths are in test_upstream_path.c.
#include "test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/generation.h"
#include "config/router.h"

#include <netinet/in.h>

static generation_t *make(str_t routes)
{
    char why[256] = "";
    buf_t b = {0};
    generation_t *g = NULL;
    buf_printf(&b, "{\"routes\":[%.*s]}", STR_FMT(routes));
    if (generation_create(buf_str(&b), 1, &g, why, sizeof why) != 0)
        TEST_NOTE("%s", why);
    buf_dispose(&b);
    return g;
}

static str_t name_of(const route_match_t *m)
{
    return m->route ? m->route->name : STR("");
}

typedef struct ask {
    const char *method, *host, *path, *header, *value, *sni, *source;
    bool tls;
    uint16_t port;
} ask_t;

static route_match_t ask(const generation_t *g, ask_t a)
{
    static header_t lines[1];
    headers_t headers = {.v = lines, .n = a.header ? 1 : 0, .cap = 1};
    struct in6_addr source = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    route_match_t m;
    lines[0] = (header_t){.name = str_from(a.header), .value = str_from(a.value)};
    lines[0].id = (uint16_t)(a.header ? hdr_lookup(lines[0].name) : 0);
    if (a.header)
        headers_note(&headers, &lines[0]);
    if (a.source)
        memcpy(&source.s6_addr[12], a.source, 4);
    route_input_t in = {.method = str_from(a.method ? a.method : "GET"),
                        .host = str_from(a.host ? a.host : "any.host"),
                        .port = a.port ? a.port : 80,
                        .path = str_from(a.path ? a.path : "/"),
                        .tls = a.tls,
                        .sni = str_from(a.sni),
                        .headers = &headers,
                        .source = a.source ? &source : NULL};
    router_match(g->router, &in, &m);
    return m;
}

#define ROUTED(g, want, ...)                                                                   \
    do {                                                                                       \
        route_match_t routed_ = ask(g, (ask_t){__VA_ARGS__});                                  \
        CHECK_EQ_STR(name_of(&routed_), want);                                                 \
    } while (0)

TEST(priorities_in_their_order)
{
    generation_t *g =
        make(STR("{\"name\":\"short\",\"paths\":[\"/a\"]},"
                 "{\"name\":\"long\",\"paths\":[\"/abc\"]},"
                 "{\"name\":\"regex\",\"paths\":[\"~/re/[0-9]+\"]},"
                 "{\"name\":\"regex-plain\",\"paths\":[\"/re/123456789\"]},"
                 "{\"name\":\"regex-first\",\"paths\":[\"~/re/7\"],\"regex_priority\":3},"
                 "{\"name\":\"wild\",\"hosts\":[\"*.h.com\"],\"paths\":[\"/abc/long/long\"]},"
                 "{\"name\":\"plain-host\",\"hosts\":[\"x.h.com\"],\"paths\":[\"/a\"]},"
                 "{\"name\":\"two\",\"methods\":[\"PUT\"],\"paths\":[\"/a\"]},"
                 "{\"name\":\"one-header\",\"headers\":{\"x-a\":[\"1\"]},\"paths\":[\"/hh\"]},"
                 "{\"name\":\"two-headers\",\"headers\":{\"x-a\":[\"1\"],\"X-A\":[\"1\"]},"
                 "\"paths\":[\"/h\"]}"));
    if (!CHECK(g != NULL))
        return;
    ROUTED(g, "short", .path = "/ab");
    ROUTED(g, "long", .path = "/abcd");
    ROUTED(g, "regex", .path = "/re/123456789");
    ROUTED(g, "regex-first", .path = "/re/7");
    ROUTED(g, "regex", .path = "/re/8");
    ROUTED(g, "plain-host", .path = "/abc/long/long", .host = "x.h.com");
    ROUTED(g, "wild", .path = "/abc/long/long", .host = "y.h.com");
    ROUTED(g, "two", .path = "/abc", .method = "PUT");
    ROUTED(g, "two-headers", .path = "/hh", .header = "X-a", .value = "1");
    ROUTED(g, "", .path = "/");
    ROUTED(g, "", .path = "/A");
    generation_release(g);
}

TEST(ties_go_to_the_first_in_the_file)
{
    generation_t *g = make(STR("{\"name\":\"first\",\"paths\":[\"~/x/"
                               ".*\"]},{\"name\":\"second\",\"paths\":[\"~/x/longer.*\"]},"
                               "{\"name\":\"p1\",\"methods\":[\"GET\"]},{\"name\":\"p2\","
                               "\"methods\":[\"GET\",\"PUT\"]}"));
    ROUTED(g, "first", .path = "/x/longer");
    ROUTED(g, "p1", .path = "/q");
    ROUTED(g, "p2", .path = "/q", .method = "PUT");
    generation_release(g);
}

TEST(a_route_is_split_by_its_paths)
{
    generation_t *g =
        make(STR("{\"name\":\"many\",\"paths\":[\"/a\",\"/a/b/c\",\"~/r/(?<id>[a-z]+)/(x)?\"]},"
                 "{\"name\":\"mid\",\"paths\":[\"/a/b\"]}"));
    route_match_t m = ask(g, (ask_t){.path = "/a/b/c/d"});
    CHECK_EQ_STR(name_of(&m), "many");
    CHECK_EQ_INT(m.prefix, 6);
    ROUTED(g, "mid", .path = "/a/b/x");
    m = ask(g, (ask_t){.path = "/a/x"});
    CHECK_EQ_INT(m.prefix, 2);
    m = ask(g, (ask_t){.path = "/r/abc/tail"});
    CHECK_EQ_STR(name_of(&m), "many");
    CHECK_EQ_INT(m.prefix, 7);
    CHECK_EQ_INT(m.n_captures, 2);
    CHECK_EQ_STR(m.captures[0], "/r/abc/");
    CHECK_EQ_STR(m.captures[1], "abc");
    CHECK_EQ_STR(m.capture_names[1], "id");
    CHECK_EQ_STR(m.capture_names[0], "");
    m = ask(g, (ask_t){.path = "/r/abc/x"});
    CHECK_EQ_INT(m.n_captures, 3);
    CHECK_EQ_STR(m.captures[2], "x");
    generation_release(g);
}

TEST(unset_captures_have_no_bytes_and_a_better_plain_route_leaves_none)
{
    generation_t *g = make(STR("{\"name\":\"re\",\"paths\":[\"~/k(a)?(b)\"]},"
                               "{\"name\":\"host\",\"hosts\":[\"h\"],\"paths\":[\"/k\"]}"));
    route_match_t m = ask(g, (ask_t){.path = "/kb"});
    CHECK_EQ_INT(m.n_captures, 3);
    CHECK(m.captures[1].p == NULL);
    CHECK_EQ_STR(m.captures[2], "b");
    m = ask(g, (ask_t){.path = "/kb", .host = "h"});
    CHECK_EQ_STR(name_of(&m), "host");
    CHECK_EQ_INT(m.n_captures, 0);
    CHECK_EQ_INT(m.prefix, 2);
    generation_release(g);
}

TEST(hosts)
{
    generation_t *g = make(STR("{\"name\":\"exact\",\"hosts\":[\"Api.Example.com\"]},"
                               "{\"name\":\"port\",\"hosts\":[\"port.example.com:8443\"]},"
                               "{\"name\":\"suffix\",\"hosts\":[\"*.example.com\"]},"
                               "{\"name\":\"prefix\",\"hosts\":[\"example.*\"]},"
                               "{\"name\":\"wild-port\",\"hosts\":[\"*.example.net:81\"]},"
                               "{\"name\":\"six\",\"hosts\":[\"[::1]\"]},{\"name\":\"six-"
                               "port\",\"hosts\":[\"[::2]:90\"]},"
                               "{\"name\":\"odd\",\"hosts\":[\"*tail\"]}"));
    ROUTED(g, "exact", .host = "api.example.com", .port = 99);
    ROUTED(g, "port", .host = "port.example.com", .port = 8443);
    ROUTED(g, "suffix", .host = "port.example.com", .port = 80);
    ROUTED(g, "suffix", .host = "a.b.example.com");
    ROUTED(g, "prefix", .host = "example.com.org");
    ROUTED(g, "prefix", .host = "example.org");
    ROUTED(g, "prefix", .host = "example.co.uk");
    ROUTED(g, "", .host = "examples.org");
    ROUTED(g, "wild-port", .host = "x.example.net", .port = 81);
    ROUTED(g, "", .host = "x.example.net", .port = 82);
    ROUTED(g, "six", .host = "[::1]", .port = 5);
    ROUTED(g, "six-port", .host = "[::2]", .port = 90);
    ROUTED(g, "", .host = "[::2]", .port = 91);
    ROUTED(g, "odd", .host = "cocktail");
    ROUTED(g, "", .host = "");
    generation_release(g);
}

TEST(headers_snis_and_addresses)
{
    generation_t *g = make(
        STR("{\"name\":\"h\",\"headers\":{\"X-Tier\":[\"Gold\",\"platinum\"]}},"
            "{\"name\":\"re\",\"headers\":{\"user-agent\":[\"~*bot\\\\D\"]}},"
            "{\"name\":\"sni\",\"snis\":[\"*.s.com\",\"a.org.\"],\"protocols\":[\"https\"]},"
            "{\"name\":\"net\",\"sources\":[{\"ip\":\"10.1.0.0/"
            "12\"},{\"ip\":\"9.9.9.9\"}],\"paths\":[\"/n\"]}"));
    ROUTED(g, "h", .tls = true, .header = "x-tier", .value = "GOLD");
    ROUTED(g, "h", .tls = true, .header = "x-tier", .value = "platinum");
    ROUTED(g, "", .tls = true, .header = "x-tier", .value = "golden");
    ROUTED(g, "re", .tls = true, .header = "User-Agent", .value = "SomeBOT/1");
    ROUTED(g, "", .tls = true, .header = "User-Agent", .value = "bot7");
    ROUTED(g, "sni", .tls = true, .sni = "X.s.com");
    ROUTED(g, "sni", .tls = true, .sni = "a.org");
    ROUTED(g, "sni", .tls = true, .sni = "a.org.");
    ROUTED(g, "", .tls = true, .sni = "s.com");
    ROUTED(g, "sni", .tls = false); // snis are only asked of TLS
    ROUTED(g, "net", .tls = true, .path = "/n", .source = "\x0a\x0f\x01\x02");
    ROUTED(g, "net", .tls = true, .path = "/n", .source = "\x09\x09\x09\x09");
    ROUTED(g, "", .tls = true, .path = "/n", .source = "\x0a\x10\x01\x02");
    ROUTED(g, "", .tls = true, .path = "/n");
    generation_release(g);
}

TEST(protocols_do_not_choose_but_are_told)
{
    generation_t *g =
        make(STR("{\"name\":\"tls\",\"protocols\":[\"https\"],\"paths\":[\"/s\"]},"
                 "{\"name\":\"both\",\"protocols\":[\"http\",\"https\"],\"paths\":[\"/b\"]},"
                 "{\"name\":\"grpc\",\"protocols\":[\"grpc\"],\"paths\":[\"/g\"]}"));
    route_match_t m = ask(g, (ask_t){.path = "/s"});
    CHECK(m.wrong_protocol && m.route);
    m = ask(g, (ask_t){.path = "/s", .tls = true});
    CHECK(!m.wrong_protocol && m.route);
    m = ask(g, (ask_t){.path = "/b"});
    CHECK(!m.wrong_protocol && m.route);
    ROUTED(g, "", .path = "/g");
    generation_release(g);
}

TEST(a_regex_is_anchored_at_the_start_only)
{
    generation_t *g = make(STR("{\"name\":\"a\",\"paths\":[\"~/v(1|2)/"
                               "x\"]},{\"name\":\"alt\",\"paths\":[\"~/one|/two\"]},"
                               "{\"name\":\"opt\",\"paths\":[\"~/"
                               "colou?r\"]},{\"name\":\"esc\",\"paths\":[\"~/f\\\\.txt\"]},"
                               "{\"name\":\"i\",\"paths\":[\"~(?i)/"
                               "CASE\"]},{\"name\":\"c\",\"paths\":[\"~\\\\x2fhex\"]}"));
    ROUTED(g, "a", .path = "/v2/x/and/more");
    ROUTED(g, "", .path = "/q/v2/x");
    ROUTED(g, "alt", .path = "/two");
    ROUTED(g, "", .path = "/x/two");
    ROUTED(g, "opt", .path = "/color");
    ROUTED(g, "opt", .path = "/colour");
    ROUTED(g, "esc", .path = "/f.txt");
    ROUTED(g, "", .path = "/fxtxt");
    ROUTED(g, "i", .path = "/case");
    ROUTED(g, "c", .path = "/hex");
    generation_release(g);
}

TEST(a_regex_at_its_limit_refuses_the_request)
{
    generation_t *g = make(STR(
        "{\"name\":\"evil\",\"paths\":[\"~/(a+)+$\"]},{\"name\":\"open\",\"paths\":[\"/\"]},"
        "{\"name\":\"better\",\"hosts\":[\"h\"],\"paths\":[\"/\"]}"));
    const char *path = "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
    log_set_level(LOG_CRIT);
    uint64_t start = clock_mono_us();
    route_match_t m = ask(g, (ask_t){.path = path});
    CHECK(clock_mono_us() - start < 200000);
    CHECK(m.route == NULL && m.gave_up);
    m = ask(g, (ask_t){.path = path, .host = "h"});
    CHECK_EQ_STR(name_of(&m), "better");
    CHECK(!m.gave_up);
    ROUTED(g, "open", .path = "/b");
    log_set_level(LOG_NOTICE);
    generation_release(g);
}

TEST(the_limits_leave_room_for_the_longest_paths)
{
    generation_t *g = make(STR("{\"name\":\"long\",\"paths\":[\"~/((a|b)c?)+(/[^/]+)*$\"]}"));
    char path[8193] = "/";
    for (unsigned i = 1; i < 8192; i++)
        path[i] = i % 1000 == 0 ? '/' : i > 1000 ? 'x' : "ab"[i % 2];
    route_match_t m = ask(g, (ask_t){.path = path});
    CHECK_EQ_STR(name_of(&m), "long");
    CHECK_EQ_INT(m.prefix, 8192);
    generation_release(g);
}

TEST(regex_check_for_the_loader)
{
    char why[200] = "";
    CHECK_EQ_INT(router_check_regex(STR("/a/(?<id>\\d+)$"), why, sizeof why), 0);
    CHECK_EQ_INT(router_check_regex(STR("/a/(?<id>"), why, sizeof why), -1);
    CHECK_EQ_STR(why, "missing closing parenthesis at offset 9");
}

// --- against a naive reference ----------------------------------------------------------------
// The reference knows only the document's values: it tries every path of every route, computes the
// priority word anew, and keeps the best. Regexes come from a small set that it matches by hand.

enum { ROUTES_MAX = 40, LIST_MAX = 3 };

typedef struct spec {
    const char *methods[LIST_MAX], *hosts[LIST_MAX], *paths[LIST_MAX], *tiers[LIST_MAX];
    int n_methods, n_hosts, n_paths, n_tiers, regex_priority;
} spec_t;

static uint64_t state = 88172645463325252ULL;

static unsigned random_below(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

static const char *const methods[] = {"GET", "PUT", "POST"};
static const char *const hosts[] = {"a.com", "b.a.com",  "*.a.com",    "a.*", "c.b.a.com",
                                    "*.com", "a.com:81", "*.a.com:81", "b.*"};
static const char *const paths[] = {"/",        "/a",     "/a/",    "/a/b",       "/ab",
                                    "/abc",     "/b",     "/a/b/c", "~/a/[0-9]+", "~/a",
                                    "~/a(b|c)", "~/a/b$", "~/ab?c", "~/x|/a"};
static const char *const tiers[] = {"gold", "silver", "Bronze", "none"};
static const char *const asked_tiers[] = {"gold", "SILVER", "bronze", "other"};
static const char *const asked_hosts[] = {"a.com", "b.a.com", "c.b.a.com", "d.com",
                                          "a.org", "b.org",   "none"};
static const char *const asked_paths[] = {"/",   "/a",  "/a/",  "/a/b", "/a/b/c",
                                          "/ab", "/ac", "/abc", "/a/7", "/b",
                                          "/c",  "/x",  "/a/b/"};
#define PICK(list) list[random_below(sizeof(list) / sizeof *(list))]

static bool reference_regex(const char *regex, const char *path)
{
    if (!strcmp(regex, "~/a/[0-9]+"))
        return !strncmp(path, "/a/", 3) && path[3] >= '0' && path[3] <= '9';
    if (!strcmp(regex, "~/a"))
        return !strncmp(path, "/a", 2);
    if (!strcmp(regex, "~/a(b|c)"))
        return !strncmp(path, "/ab", 3) || !strncmp(path, "/ac", 3);
    if (!strcmp(regex, "~/a/b$"))
        return !strcmp(path, "/a/b");
    if (!strcmp(regex, "~/ab?c"))
        return !strncmp(path, "/abc", 4) || !strncmp(path, "/ac", 3);
    return !strncmp(path, "/x", 2) || !strncmp(path, "/a", 2);
}

static bool reference_host(const char *pattern, const char *host, unsigned port)
{
    char name[32];
    snprintf(name, sizeof name, "%s", pattern);
    char *colon = strchr(name, ':');
    if (colon && (unsigned)atoi(colon + 1) != port)
        return false;
    if (colon)
        *colon = 0;
    size_t n = strlen(name), h = strlen(host);
    if (name[0] == '*')
        return h >= n - 1 && !strcmp(host + h - (n - 1), name + 1);
    if (name[n - 1] == '*')
        return !strncmp(host, name, n - 1);
    return !strcmp(name, host);
}

static uint64_t reference_priority(const spec_t *s, const char *path)
{
    uint64_t w = (s->n_methods > 0) + (s->n_hosts > 0) + (s->n_tiers > 0) + (path != NULL),
             p = w << 61;
    bool plain = s->n_hosts > 0;
    for (int i = 0; i < s->n_hosts; i++)
        plain = plain && !strchr(s->hosts[i], '*');
    p |= (uint64_t)plain << 60 | (uint64_t)(s->n_tiers > 0) << 52;
    if (path && path[0] == '~')
        return p | 1ULL << 51 | (uint64_t)s->regex_priority << 19;
    return path ? p | strlen(path) : p;
}

static bool reference_others(const spec_t *s, const ask_t *q)
{
    bool method = s->n_methods == 0, host = s->n_hosts == 0, tier = s->n_tiers == 0;
    for (int i = 0; i < s->n_methods; i++)
        method = method || !strcmp(s->methods[i], q->method);
    for (int i = 0; i < s->n_hosts; i++)
        host = host || reference_host(s->hosts[i], q->host, q->port);
    for (int i = 0; i < s->n_tiers; i++)
        tier = tier || (q->value && !strcasecmp(s->tiers[i], q->value));
    return method && host && tier;
}

static bool reference_path(const char *want, const char *path)
{
    return want[0] == '~' ? reference_regex(want, path) : !strncmp(path, want, strlen(want));
}

static int reference_match(const spec_t *specs, int n, const ask_t *q)
{
    int best = -1;
    uint64_t best_priority = 0;
    for (int i = 0; i < n; i++) {
        const spec_t *s = &specs[i];
        if (!reference_others(s, q))
            continue;
        for (int p = 0; p < (s->n_paths ? s->n_paths : 1); p++) {
            const char *path = s->n_paths ? s->paths[p] : NULL;
            uint64_t priority = reference_priority(s, path);
            if ((!path || reference_path(path, q->path)) &&
                (best < 0 || priority > best_priority)) {
                best = i;
                best_priority = priority;
            }
        }
    }
    return best;
}

static void append_list(buf_t *b, const char *name, const char *const *list, int n)
{
    if (n == 0)
        return;
    buf_printf(b, ",\"%s\":[", name);
    for (int i = 0; i < n; i++)
        buf_printf(b, "%s\"%s\"", i ? "," : "", list[i]);
    buf_putc(b, ']');
}

// Narrow ones share one path, so that a node of the index has many of them.
static void random_spec(spec_t *s, buf_t *b, int i, bool narrow)
{
    *s = (spec_t){.regex_priority = (int)random_below(3)};
    for (unsigned k = random_below(3); k > 0; k--)
        s->methods[s->n_methods++] = PICK(methods);
    for (unsigned k = narrow ? 0 : random_below(4); k > 0; k--)
        s->hosts[s->n_hosts++] = PICK(hosts);
    for (unsigned k = narrow ? 1 : random_below(4); k > 0; k--)
        s->paths[s->n_paths++] = narrow ? paths[1] : PICK(paths);
    for (unsigned k = random_below(narrow ? 4 : 8); k > 0 && k < 4; k--)
        s->tiers[s->n_tiers++] = PICK(tiers);
    buf_printf(b, "%s{\"name\":\"%d\",\"regex_priority\":%d", i ? "," : "", i,
               s->regex_priority);
    append_list(b, "methods", s->methods, s->n_methods);
    append_list(b, "hosts", s->hosts, s->n_hosts);
    append_list(b, "paths", s->paths, s->n_paths);
    if (s->n_tiers) {
        buf_append(b, STR(",\"headers\":{"));
        buf_t list = {0};
        append_list(&list, "x-tier", s->tiers, s->n_tiers);
        buf_append(b, str_from_at(buf_str(&list), 1));
        buf_putc(b, '}');
        buf_dispose(&list);
    }
    buf_putc(b, '}');
}

TEST(agrees_with_a_naive_matcher_on_random_route_sets)
{
    for (int round = 0; round < 3000; round++) {
        spec_t specs[ROUTES_MAX];
        buf_t b = {0};
        int n = 1 + (int)random_below(round % 3 ? 8 : ROUTES_MAX);
        for (int i = 0; i < n; i++)
            random_spec(&specs[i], &b, i, round % 3 == 0);
        generation_t *g = make(buf_str(&b));
        for (int k = 0; g && k < 20; k++) {
            ask_t q = {.method = PICK(methods),
                       .host = PICK(asked_hosts),
                       .path = PICK(asked_paths),
                       .port = random_below(2) ? 80 : 81};
            if (random_below(2))
                q.header = "X-Tier", q.value = PICK(asked_tiers);
            route_match_t m = ask(g, q);
            int want = reference_match(specs, n, &q);
            if (!CHECK_EQ_INT(m.route ? (int)m.route->index : -1, want)) {
                TEST_NOTE("%s %s:%u %s in %.*s", q.method, q.host, q.port, q.path,
                          STR_FMT(buf_str(&b)));
                return;
            }
        }
        CHECK(g != NULL);
        generation_release(g);
        buf_dispose(&b);
    }
}

// --- time -------------------------------------------------------------------------------------

enum { MANY = 10000, MATCHES = 200000 };

static double measure(const char *what, const char *host, const char *path,
                      const char *request_host, const char *request_path)
{
    static char host_text[MANY][48], path_text[MANY][48];
    buf_t b = {0};
    for (int i = 0; i < MANY; i++) {
        buf_printf(&b, "%s{\"name\":\"%d\",\"methods\":[\"GET\",\"POST\"]", i ? "," : "", i);
        if (host) {
            buf_printf(&b, ",\"hosts\":[\"");
            buf_printf(&b, host, i);
            buf_printf(&b, "\"]");
        }
        buf_printf(&b, ",\"paths\":[\"");
        buf_printf(&b, path, i);
        buf_printf(&b, "\"]}");
        snprintf(host_text[i], sizeof *host_text, request_host, i);
        snprintf(path_text[i], sizeof *path_text, request_path, i);
    }
    uint64_t start = clock_mono_us();
    generation_t *g = make(buf_str(&b));
    double build_ms = (double)(clock_mono_us() - start) / 1000;
    unsigned wrong = 0;
    headers_t none = {0};
    start = clock_mono_us();
    for (unsigned k = 0; k < MATCHES; k++) {
        unsigned i = (k * 7919u) % MANY;
        route_match_t m;
        route_input_t in = {.method = STR("POST"),
                            .host = str_from(host_text[i]),
                            .port = 80,
                            .path = str_from(path_text[i]),
                            .headers = &none};
        router_match(g->router, &in, &m);
        wrong += !m.route || m.route->index != i;
    }
    double ns = (double)(clock_mono_us() - start) * 1000 / MATCHES;
    fprintf(stderr, "  %-28s %6.0f ns a match, built in %.0f ms\n", what, ns, build_ms);
    CHECK_EQ_INT(wrong, 0);
    generation_release(g);
    buf_dispose(&b);
    return ns;
}

// The slowest shape: nothing but a header tells the routes apart.
TEST(ten_thousand_routes_of_one_path_match_quickly_by_header)
{
    buf_t b = {0};
    for (int i = 0; i < MANY; i++)
        buf_printf(&b, "%s{\"paths\":[\"/chat\"],\"headers\":{\"X-Tenant\":[\"T%d\"]}}",
                   i ? "," : "", i);
    generation_t *g = make(buf_str(&b));
    unsigned wrong = 0;
    uint64_t start = clock_mono_us();
    for (unsigned k = 0; g && k < MATCHES; k++) {
        char value[16];
        snprintf(value, sizeof value, "t%u", (k * 7919u) % MANY);
        route_match_t m =
            ask(g, (ask_t){.path = "/chat/completions", .header = "x-tenant", .value = value});
        wrong += !m.route || m.route->index != (k * 7919u) % MANY;
    }
    double ns = (double)(clock_mono_us() - start) * 1000 / MATCHES;
    fprintf(stderr, "  %-28s %6.0f ns a match\n", "headers of one path", ns);
    CHECK_EQ_INT(wrong, 0);
    CHECK(ns < 20000);
    ROUTED(g, "", .path = "/chat", .header = "x-tenant", .value = "t10000");
    ROUTED(g, "", .path = "/chat");
    generation_release(g);
    buf_dispose(&b);
}

TEST(ten_thousand_routes_match_quickly)
{
    // The bounds leave room for sanitizers and busy machines; the printed figures are what counts.
    CHECK(measure("one host each", "h%d.example.com", "/", "h%d.example.com", "/x") < 20000);
    CHECK(measure("paths of one host", "example.com", "/api/v1/tenant%d/chat", "example.com",
                  "/api/v1/tenant%d/chat/completions") < 20000);
    CHECK(measure("paths without host", NULL, "/p%dq", "example.com", "/p%dq/x") < 20000);
    CHECK(measure("wildcard hosts", "*.h%d.example.com", "/a", "w.h%d.example.com", "/a/b") <
          20000);
    CHECK(measure("regexes", NULL, "~/r%d/(?<id>[0-9]+)$", "example.com", "/r%d/42") < 20000);
}
