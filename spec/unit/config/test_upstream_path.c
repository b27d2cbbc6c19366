// The path sent upstream, case for case: strip_path and path_handling v0 and v1.
#include "test.h"

#include "config/router.h"

typedef struct path_case {
    const char *service, *route;
    bool strip;
    uint8_t handling;
    const char *request, *want;
} path_case_t;

// From the rules: base and postfix join with exactly one slash (v0), or with none added (v1).
static const path_case_t path_cases[] = {
    {"", "/", true, 0, "/", "/"},
    {"", "/", true, 0, "/req", "/req"},
    {"", "/rou", true, 0, "/rou", "/"},
    {"", "/rou", true, 0, "/rou/", "/"},
    {"", "/rou", true, 0, "/roureq", "/req"},
    {"", "/rou", true, 0, "/rou/req", "/req"},
    {"", "/rou", false, 0, "/rou", "/rou"},
    {"", "/rou", false, 0, "/rou/req", "/rou/req"},
    {"/", "/rou", true, 0, "/rou/req/", "/req/"},
    {"/", "/", false, 0, "/", "/"},
    {"/srv", "/", true, 0, "/", "/srv"},
    {"/srv", "/", true, 0, "/req", "/srv/req"},
    {"/srv", "/rou", true, 0, "/rou", "/srv"},
    {"/srv", "/rou", true, 0, "/rou/", "/srv/"},
    {"/srv", "/rou", true, 0, "/roureq", "/srv/req"},
    {"/srv", "/rou", true, 0, "/rou/req", "/srv/req"},
    {"/srv", "/rou/", true, 0, "/rou/", "/srv/"},
    {"/srv", "/rou/", true, 0, "/rou/req", "/srv/req"},
    {"/srv", "/rou", false, 0, "/rou", "/srv/rou"},
    {"/srv", "/rou", false, 0, "/roureq", "/srv/roureq"},
    {"/srv", "/", false, 0, "/", "/srv"},
    {"/srv/", "/", true, 0, "/", "/srv/"},
    {"/srv/", "/", true, 0, "/req", "/srv/req"},
    {"/srv/", "/rou", true, 0, "/rou", "/srv"},
    {"/srv/", "/rou", true, 0, "/rou/", "/srv/"},
    {"/srv/", "/rou", true, 0, "/roureq", "/srv/req"},
    {"/srv/", "/rou/", true, 0, "/rou/", "/srv/"},
    {"/srv/", "/rou/", true, 0, "/rou/req", "/srv/req"},
    {"/srv/", "/", false, 0, "/", "/srv/"},
    {"/srv/", "/rou", false, 0, "/rou", "/srv/rou"},
    {"/srv", "/rou", true, 0, "/rou..", "/srv"},
    {"/srv", "/rou", true, 0, "/rou.", "/srv"},
    {"/srv", "/rou", true, 0, "/rou../x", "/srv/x"},
    {"/srv", "/rou", true, 0, "/rou./x", "/srv/x"},
    {"/srv", "/rou", false, 0, "/rou../x", "/srv/rou../x"},
    {"/srv", "", true, 0, "/", "/srv"},
    {"/srv", "", true, 0, "/req", "/srv/req"},
    {"/srv", "", true, 0, "/req/", "/srv/req/"},
    {"/srv/", "", true, 0, "/", "/srv/"},
    {"", "/rou", false, 1, "/roureq", "/roureq"},
    {"/srv", "/rou", false, 1, "/roureq", "/srvroureq"},
    {"/srv", "/rou", true, 1, "/roureq", "/srvreq"},
    {"/srv", "/rou/", true, 1, "/rou/req", "/srvreq"},
    {"/srv/", "/rou", true, 1, "/rou/req", "/srv/req"},
    {"/srv/", "/rou", false, 1, "/rou/req", "/srv/rou/req"},
    {"/srv", "/rou", true, 1, "/rou", "/srv"},
};

TEST(upstream_paths)
{
    for (unsigned i = 0; i < sizeof path_cases / sizeof *path_cases; i++) {
        const path_case_t *c = &path_cases[i];
        arena_t a;
        arena_init(&a);
        route_t route = {.strip_path = c->strip, .path_handling = c->handling};
        str_t got = router_upstream_path(&a, &route, str_from(c->service), str_from(c->request),
                                         strlen(c->route));
        if (!CHECK_EQ_STR(got, c->want))
            TEST_NOTE("service %s route %s strip %d v%d request %s", c->service, c->route,
                      c->strip, c->handling, c->request);
        arena_dispose(&a);
    }
}
