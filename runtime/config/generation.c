// A generation's life and the phase masks of its routes; see generation.h.
// What it holds is read by entities.c, found by lookup.c and matched by router.c.
#include "config/generation.h"

#include "base/check.h"
#include "config/entities.h"
#include "config/lookup.h"
#include "config/route_index.h"
#include "config/router.h"

#include <stdio.h>
#include <sys/random.h>

static uint64_t random_seed(void)
{
    uint64_t seed;
    ASSERT(getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed,
           "the kernel gives random bytes");
    return seed;
}

// Names the document in logs and metrics, alike in every process; not a defence against anything.
void generation_hash(str_t document, char out[33])
{
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)str_hash(document, 0x6d6f6f6e),
             (unsigned long long)str_hash(document, 0x67617465));
}

// The process's: a generation may be made and freed on any thread.
static uint32_t alive;

uint32_t generations_alive(void)
{
    return __atomic_load_n(&alive, __ATOMIC_RELAXED);
}

static void destroy(generation_t *g)
{
    __atomic_fetch_sub(&alive, 1, __ATOMIC_RELAXED);
    ASSERT(!g->runtime || g->runtime_free,
           "who hangs state on a generation says how to free it");
    ASSERT(!g->script || g->script_free, "who hangs state on a generation says how to free it");
    if (g->script && g->script_free)
        g->script_free(g->script);
    if (g->runtime && g->runtime_free)
        g->runtime_free(g->runtime);
    if (g->tls)
        g->tls_free(g->tls);
    if (g->router)
        router_destroy(g->router);
    arena_dispose(&g->arena);
    free(g);
}

int generation_create(str_t document, uint64_t number, generation_t **out, char *why,
                      size_t why_cap)
{
    generation_t *g = mem_zalloc(sizeof *g);
    __atomic_fetch_add(&alive, 1, __ATOMIC_RELAXED);
    g->refs = 1;
    g->number = number;
    g->seed = random_seed();
    arena_init(&g->arena);
    g->json = arena_dup(&g->arena, document);
    generation_hash(g->json, g->hash);
    if (entities_read(g, why, why_cap) != 0)
        goto fail;
    lookups_build(g);
    if (router_create(g, &g->router, why, why_cap) != 0)
        goto fail;
    *out = g;
    return 0;
fail:
    destroy(g);
    return -1;
}

generation_t *generation_acquire(generation_t *g)
{
    uint32_t before = __atomic_fetch_add(&g->refs, 1, __ATOMIC_RELAXED);
    ASSERT(before > 0, "a generation is alive when it is acquired");
    return g;
}

void generation_release(generation_t *g)
{
    uint32_t before = __atomic_fetch_sub(&g->refs, 1, __ATOMIC_ACQ_REL);
    ASSERT(before > 0, "a generation is released once for each reference");
    if (before == 1)
        destroy(g);
}

typedef struct phases {
    uint32_t everywhere;  // global instances, and those of a consumer or group alone
    uint32_t *by_service; // instances scoped by a service and no route
} phases_t;

static uint32_t phases_asked(const generation_t *g, uint32_t i, const uint32_t *masks,
                             uint32_t (*phases_of)(void *, str_t), void *arg)
{
    for (uint32_t j = 0; j < i; j++) {
        if (str_eq(g->plugins[j].name, g->plugins[i].name))
            return masks[j];
    }
    return phases_of(arg, g->plugins[i].name);
}

static void add_plugin_phases(generation_t *g, phases_t *p, const plugin_t *plugin,
                              uint32_t mask)
{
    if (plugin->route >= 0)
        g->routes[plugin->route].phases |= mask;
    else if (plugin->service >= 0)
        p->by_service[plugin->service] |= mask;
    else
        p->everywhere |= mask;
}

void generation_set_phases(generation_t *g, uint32_t (*phases_of)(void *arg, str_t plugin_name),
                           void *arg)
{
    uint32_t *masks = mem_zalloc((g->n_plugins + 1) * sizeof *masks);
    phases_t p = {.by_service = mem_zalloc((g->n_services + 1) * sizeof *p.by_service)};
    g->global_phases = 0;
    for (uint32_t i = 0; i < g->n_routes; i++)
        g->routes[i].phases = 0;
    for (uint32_t i = 0; i < g->n_plugins; i++) {
        const plugin_t *plugin = &g->plugins[i];
        masks[i] = phases_asked(g, i, masks, phases_of, arg);
        if (!plugin->enabled)
            continue;
        add_plugin_phases(g, &p, plugin, masks[i]);
        if (plugin->route < 0 && plugin->service < 0 && plugin->consumer < 0 &&
            plugin->consumer_group < 0)
            g->global_phases |= masks[i];
    }
    for (uint32_t i = 0; i < g->n_routes; i++) {
        const service_t *service = g->routes[i].service;
        g->routes[i].phases |= p.everywhere | (service ? p.by_service[service->index] : 0);
    }
    free(p.by_service);
    free(masks);
}

uint32_t generation_global_phases(const generation_t *g)
{
    return g->global_phases;
}
