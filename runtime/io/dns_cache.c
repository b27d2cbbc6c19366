// The table of known names.
#include "io/dns_cache.h"

#include "base/check.h"

void dns_records_free(dns_record_t *records, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        free((char *)records[i].target.p);
    free(records);
}

static void entry_destroy(dns_entry_t *e)
{
    ASSERT(e->pins == 0 && !e->asking, "a name nobody waits for is forgotten");
    dns_records_free(e->records, e->n);
    free(e->name);
    free(e);
}

void dns_cache_init(dns_cache_t *c, uint64_t seed)
{
    *c = (dns_cache_t){.seed = seed};
    list_init(&c->lru);
}

static dns_entry_t **bucket_of(dns_cache_t *c, str_t name, dns_type_t type)
{
    return &c->buckets[(str_hash(name, c->seed) + (uint64_t)type) % DNS_BUCKETS];
}

static void forget(dns_cache_t *c, dns_entry_t *e)
{
    dns_entry_t **at = bucket_of(c, str_from(e->name), e->type);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    list_unlink(&e->lru);
    c->n--;
    entry_destroy(e);
}

void dns_cache_dispose(dns_cache_t *c)
{
    while (!list_empty(&c->lru))
        forget(c, CONTAINER_OF(c->lru.next, dns_entry_t, lru));
    ASSERT(c->n == 0, "every name is in the list and in a bucket");
}

dns_entry_t *dns_cache_find(dns_cache_t *c, str_t name, dns_type_t type)
{
    for (dns_entry_t *e = *bucket_of(c, name, type); e; e = e->next) {
        if (e->type == type && str_eq(str_from(e->name), name)) {
            list_unlink(&e->lru);
            list_push_front(&c->lru, &e->lru);
            return e;
        }
    }
    return NULL;
}

// Names that are waited for stay; should all be, the table grows past its bound until they are
// answered.
static void make_room(dns_cache_t *c)
{
    list_t *at = c->lru.prev;
    while (c->n >= DNS_NAMES_MAX && at != &c->lru) {
        dns_entry_t *e = CONTAINER_OF(at, dns_entry_t, lru);
        at = at->prev;
        if (e->pins == 0)
            forget(c, e);
    }
}

dns_entry_t *dns_cache_add(dns_cache_t *c, str_t name, dns_type_t type)
{
    ASSERT(!dns_cache_find(c, name, type), "a name is added once");
    make_room(c);
    dns_entry_t *e = mem_zalloc(sizeof *e);
    e->name = mem_zalloc(name.n + 1);
    memcpy(e->name, name.p, name.n);
    e->type = type;
    list_init(&e->waiting);
    dns_entry_t **bucket = bucket_of(c, name, type);
    e->next = *bucket;
    *bucket = e;
    list_push_front(&c->lru, &e->lru);
    c->n++;
    return e;
}
