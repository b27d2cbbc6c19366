// Methods, hosts and paths against a fixed set of routes: whatever is matched lies inside the path, every rooted path
// has a route, and the upstream path begins with the service's. The input: method, host and path, separated by spaces.
#include "base/check.h"
#include "config/generation.h"
#include "config/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char document[] =
    "{\"routes\":["
    "{\"name\":\"root\",\"paths\":[\"/\"]},{\"name\":\"a\",\"paths\":[\"/a\",\"/a/"
    "b\"]},{\"name\":\"ab\",\"paths\":[\"/ab\"]},"
    "{\"name\":\"host\",\"hosts\":[\"a.com\",\"*.b.com\",\"c.*\",\"*odd\"],\"paths\":[\"/"
    "a\",\"/x\"]},"
    "{\"name\":\"re\",\"paths\":[\"~/r/(?<id>[0-9]+)(/x)?\",\"~/a|/q\",\"~/(a+)+$\"]},"
    "{\"name\":\"m\",\"methods\":[\"GET\",\"PUT\"],\"paths\":[\"/a/b/"
    "c\"]},{\"name\":\"hm\",\"methods\":[\"GET\"],\"hosts\":[\"a.com\"]}]}";

static bool next(str_t *rest, str_t *word)
{
    ptrdiff_t space = str_chr(*rest, ' ');
    *word = space < 0 ? *rest : str_make(rest->p, (size_t)space);
    *rest = str_from_at(*rest, space < 0 ? rest->n : (size_t)space + 1);
    return word->n > 0;
}

// What does not depend on the index: a plain route must begin the path, a pathless one has no prefix.
static void check_match(const route_input_t *in, const route_match_t *m)
{
    ASSERT(m->prefix <= in->path.n, "a prefix is part of the path");
    ASSERT(m->n_captures <= CAPTURES_MAX, "captures fit");
    for (uint32_t i = 0; i < m->n_captures; i++) {
        bool inside = m->captures[i].p >= in->path.p &&
                      m->captures[i].p + m->captures[i].n <= in->path.p + in->path.n;
        ASSERT(!m->captures[i].p || inside, "captures are parts of the path");
    }
    ASSERT(m->route || m->prefix == 0, "no route has no prefix");
    bool rooted = in->path.n && in->path.p[0] == '/';
    ASSERT(m->route || m->gave_up || !rooted, "every path is below the root route");
}

static void check_upstream_path(const route_input_t *in, const route_match_t *m)
{
    static const char *const bases[] = {"", "/", "/srv", "/srv/"};
    for (unsigned i = 0; m->route && i < 8; i++) {
        arena_t a;
        route_t route = *m->route;
        str_t base = str_from(bases[i % 4]), trimmed = base;
        arena_init(&a);
        route.strip_path = i < 4;
        str_t path = router_upstream_path(&a, &route, base, in->path, m->prefix);
        if (trimmed.n && trimmed.p[trimmed.n - 1] == '/')
            trimmed.n--;
        ASSERT(str_starts(path, trimmed) && path.n > 0 && path.p[0] == '/',
               "the service's path leads");
        arena_dispose(&a);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static generation_t *g;
    char why[256];
    if (!g)
        ASSERT(generation_create(STR(document), 1, &g, why, sizeof why) == 0,
               "the routes are valid");
    str_t rest = str_make((const char *)data, size);
    headers_t none = {0};
    route_input_t in = {.port = 80, .headers = &none};
    route_match_t m;
    next(&rest, &in.method);
    next(&rest, &in.host);
    in.path = rest;
    router_match(g->router, &in, &m);
    check_match(&in, &m);
    check_upstream_path(&in, &m);
    return 0;
}
