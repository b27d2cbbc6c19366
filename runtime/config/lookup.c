// The finders of a generation; see lookup.h. Of two entities with one name the first in the document is found.
#include "config/lookup.h"

#include "base/check.h"

void lookup_init(lookup_t *l, arena_t *a, uint32_t n)
{
    uint64_t size = 8;
    ASSERT(n < UINT32_MAX / 2, "entries are counted in 32 bits, with one to spare");
    while (size < (uint64_t)n * 2)
        size *= 2;
    *l = (lookup_t){.slots = arena_zalloc(a, size * sizeof *l->slots), .mask = size - 1};
}

void lookup_add(lookup_t *l, uint64_t hash, uint32_t value)
{
    ASSERT((uint64_t)l->n * 2 <= l->mask, "a lookup holds no more than it was made for");
    uint64_t at = hash & l->mask;
    while (l->slots[at].value)
        at = (at + 1) & l->mask;
    l->slots[at] = (lookup_slot_t){.hash = hash, .value = value + 1};
    l->n++;
}

uint32_t lookup_next(const lookup_t *l, uint64_t hash, uint64_t *cursor)
{
    while (l->slots) {
        const lookup_slot_t *slot = &l->slots[(hash + (*cursor)++) & l->mask];
        if (slot->value == 0)
            break;
        if (slot->hash == hash)
            return slot->value - 1;
    }
    return LOOKUP_NONE;
}

// Length and kind may show in the time this takes; the bytes of the secret may not.
static bool equal_constant_time(str_t a, str_t b)
{
    unsigned char difference = 0;
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        difference |= (unsigned char)(a.p[i] ^ b.p[i]);
    __asm__ volatile("" : "+r"(difference));
    return difference == 0;
}

static uint64_t credential_hash(const generation_t *g, str_t kind, str_t key)
{
    return str_hash(key, str_hash(kind, g->seed));
}

static void add_name(lookup_t *l, const generation_t *g, str_t name, uint32_t index)
{
    if (name.n)
        lookup_add(l, str_hash(name, g->seed), index);
}

static void add_snis(lookup_t *l, generation_t *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_certificates; i++)
        n += g->certificates[i].n_snis;
    lookup_init(l, &g->arena, n);
    for (uint32_t i = 0; i < g->n_certificates; i++) {
        for (uint32_t j = 0; j < g->certificates[i].n_snis; j++)
            add_name(l, g, g->certificates[i].snis[j], i);
    }
}

static void add_consumers(lookups_t *t, generation_t *g)
{
    lookup_init(&t->consumers, &g->arena, 2 * g->n_consumers);
    lookup_init(&t->custom_ids, &g->arena, g->n_consumers);
    for (uint32_t i = 0; i < g->n_consumers; i++) {
        add_name(&t->consumers, g, g->consumers[i].id, i);
        add_name(&t->consumers, g, g->consumers[i].username, i);
        add_name(&t->custom_ids, g, g->consumers[i].custom_id, i);
    }
}

static void add_credentials(lookup_t *l, generation_t *g)
{
    lookup_init(l, &g->arena, g->n_credentials);
    for (uint32_t i = 0; i < g->n_credentials; i++)
        lookup_add(l, credential_hash(g, g->credentials[i].kind, g->credentials[i].key), i);
}

void lookups_build(generation_t *g)
{
    lookups_t *t = arena_zalloc(&g->arena, sizeof *t);
    g->lookups = t;
    lookup_init(&t->services, &g->arena, 2 * g->n_services);
    for (uint32_t i = 0; i < g->n_services; i++) {
        add_name(&t->services, g, g->services[i].id, i);
        add_name(&t->services, g, g->services[i].name, i);
    }
    lookup_init(&t->routes, &g->arena, 2 * g->n_routes);
    for (uint32_t i = 0; i < g->n_routes; i++) {
        add_name(&t->routes, g, g->routes[i].id, i);
        add_name(&t->routes, g, g->routes[i].name, i);
    }
    lookup_init(&t->upstreams, &g->arena, g->n_upstreams);
    for (uint32_t i = 0; i < g->n_upstreams; i++)
        add_name(&t->upstreams, g, g->upstreams[i].name, i);
    add_consumers(t, g);
    add_credentials(&t->credentials, g);
    add_snis(&t->snis, g);
    for (uint32_t i = 0; i < g->n_services; i++)
        g->services[i].upstream = upstream_find(g, g->services[i].host);
}

const credential_t *credential_find(const generation_t *g, str_t kind, str_t key)
{
    uint64_t hash = credential_hash(g, kind, key), cursor = 0;
    uint32_t i;
    while ((i = lookup_next(&g->lookups->credentials, hash, &cursor)) != LOOKUP_NONE) {
        const credential_t *c = &g->credentials[i];
        if (str_eq(c->kind, kind) && equal_constant_time(c->key, key))
            return c;
    }
    return NULL;
}

const consumer_t *consumer_find(const generation_t *g, str_t id_or_username)
{
    uint64_t hash = str_hash(id_or_username, g->seed), cursor = 0;
    uint32_t i;
    while ((i = lookup_next(&g->lookups->consumers, hash, &cursor)) != LOOKUP_NONE) {
        const consumer_t *c = &g->consumers[i];
        if (str_eq(c->id, id_or_username) || str_eq(c->username, id_or_username))
            return c;
    }
    return NULL;
}

const consumer_t *consumer_find_custom_id(const generation_t *g, str_t custom_id)
{
    uint64_t hash = str_hash(custom_id, g->seed), cursor = 0;
    uint32_t i;
    while ((i = lookup_next(&g->lookups->custom_ids, hash, &cursor)) != LOOKUP_NONE) {
        if (str_eq(g->consumers[i].custom_id, custom_id))
            return &g->consumers[i];
    }
    return NULL;
}

const upstream_t *upstream_find(const generation_t *g, str_t name)
{
    uint64_t hash = str_hash(name, g->seed), cursor = 0;
    uint32_t i;
    while ((i = lookup_next(&g->lookups->upstreams, hash, &cursor)) != LOOKUP_NONE) {
        if (str_eq(g->upstreams[i].name, name))
            return &g->upstreams[i];
    }
    return NULL;
}

const service_t *service_find(const generation_t *g, str_t id_or_name)
{
    uint64_t hash = str_hash(id_or_name, g->seed), cursor = 0;
    uint32_t i;
    while ((i = lookup_next(&g->lookups->services, hash, &cursor)) != LOOKUP_NONE) {
        const service_t *s = &g->services[i];
        if (str_eq(s->id, id_or_name) || str_eq(s->name, id_or_name))
            return s;
    }
    return NULL;
}

const route_t *route_find(const generation_t *g, str_t id_or_name)
{
    uint64_t hash = str_hash(id_or_name, g->seed), cursor = 0;
    uint32_t i;
    while ((i = lookup_next(&g->lookups->routes, hash, &cursor)) != LOOKUP_NONE) {
        const route_t *r = &g->routes[i];
        if (str_eq(r->id, id_or_name) || str_eq(r->name, id_or_name))
            return r;
    }
    return NULL;
}

static bool has_sni(const certificate_t *c, str_t sni)
{
    for (uint32_t i = 0; i < c->n_snis; i++) {
        if (str_eq(c->snis[i], sni))
            return true;
    }
    return false;
}

static const certificate_t *certificate_of(const generation_t *g, str_t sni)
{
    uint64_t hash = str_hash(sni, g->seed), cursor = 0;
    uint32_t i;
    while ((i = lookup_next(&g->lookups->snis, hash, &cursor)) != LOOKUP_NONE) {
        if (has_sni(&g->certificates[i], sni))
            return &g->certificates[i];
    }
    return NULL;
}

// "a.b.c" -> "*.b.c", then "a.b.*": one label is covered, as a certificate's own wildcard does.
static const certificate_t *certificate_wildcard(const generation_t *g, str_t name)
{
    char text[256];
    const char *first = name.n ? memchr(name.p, '.', name.n) : NULL;
    const char *last = name.n ? memrchr(name.p, '.', name.n) : NULL;
    if (!first || name.n >= sizeof text - 2)
        return NULL;
    str_t tail = str_from_at(name, (size_t)(first - name.p));
    text[0] = '*';
    memcpy(text + 1, tail.p, tail.n);
    const certificate_t *found = certificate_of(g, str_make(text, tail.n + 1));
    if (found)
        return found;
    size_t head = (size_t)(last - name.p) + 1;
    memcpy(text, name.p, head);
    text[head] = '*';
    return certificate_of(g, str_make(text, head + 1));
}

const certificate_t *certificate_for(const generation_t *g, str_t sni)
{
    char text[256];
    if (sni.n && sni.n < sizeof text) {
        for (size_t i = 0; i < sni.n; i++)
            text[i] = ascii_lower(sni.p[i]);
        str_t name = str_make(text, sni.n > 1 && text[sni.n - 1] == '.' ? sni.n - 1 : sni.n);
        const certificate_t *found = certificate_of(g, name);
        if (!found)
            found = certificate_wildcard(g, name);
        if (found)
            return found;
    }
    return certificate_of(g, STR("*"));
}
