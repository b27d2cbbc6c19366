// What entering and leaving the access chain of three empty plugins costs: coroutine from the pool, one resume, release.
// Link it with spec/unit/lua/fake_core.c and the rooms; run it from the root. Prints nanoseconds a request.
#include <stdio.h>

#include "../unit/lua/fake_core.h"
#include "base/check.h"
#include "base/clock.h"

static double run(request_t *r, unsigned n)
{
    uint64_t start = clock_mono_us();
    for (unsigned i = 0; i < n; i++) {
        script_result_t result = script_lua.enter_access(r);
        ASSERT(result == SCRIPT_DONE, "an empty chain ends at once");
        script_lua.release(r);
    }
    return (double)(clock_mono_us() - start) * 1000 / n;
}

int main(int argc, char **argv)
{
    char why[1024] = "";
    unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 1000000;
    fake_budget_ms = argc > 2 ? (uint32_t)atoi(argv[2]) : 100;
    const char *plugins = "{\"id\":\"1\",\"name\":\"empty1\",\"enabled\":true,\"config\":{}},"
                          "{\"id\":\"2\",\"name\":\"empty2\",\"enabled\":true,\"config\":{}},"
                          "{\"id\":\"3\",\"name\":\"empty3\",\"enabled\":true,\"config\":{}}";
    const char *route = "{\"id\":\"r-1\",\"name\":\"a\",\"service\":1,\"paths\":[\"/a\"]}";
    if (fake_open(why, sizeof why) != 0 || fake_install(route, plugins, why, sizeof why) != 0) {
        fprintf(stderr, "lua_chain: %s\n", why);
        return 1;
    }
    request_t *r = fake_request(0);
    run(r, 2000);
    printf("%.0f ns for a chain of 3 empty plugins\n", run(r, n));
    fake_free(r);
    fake_close();
    return 0;
}
