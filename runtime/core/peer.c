// A worker's peers, in a hash table by name; see peer.h.
#include "core/peer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"

enum { BUCKETS = 1024, NAME_MAX_BYTES = 1024 };

static const double DECAY_MS = 10000;
static const uint64_t KEY_SEED = 0x70656572; // the same everywhere, so that processes agree

struct peers {
    peer_t *buckets[BUCKETS];
    unsigned n;
};

peers_t *peers_create(void)
{
    return mem_zalloc(sizeof(peers_t));
}

void peers_destroy(peers_t *p)
{
    ASSERT(p->n == 0, "every peer was released");
    free(p);
}

static uint32_t now_s(void)
{
    return (uint32_t)(clock_mono_us() / 1000000);
}

static uint64_t key_of(const peer_name_t *name)
{
    char text[NAME_MAX_BYTES];
    int n = snprintf(text, sizeof text, "%.*s|%.*s:%u|%.*s:%u", STR_FMT(name->upstream),
                     STR_FMT(name->target), name->target_port, STR_FMT(name->host), name->port);
    size_t used = n < (int)sizeof text ? (size_t)n : sizeof text - 1;
    uint64_t key = str_hash(str_make(text, used), KEY_SEED);
    return key ? key : 1;
}

static bool same_name(const peer_name_t *a, const peer_name_t *b)
{
    return a->port == b->port && a->target_port == b->target_port && str_eq(a->host, b->host) &&
           str_eq(a->target, b->target) && str_eq(a->upstream, b->upstream);
}

static str_t keep(char **at, str_t s)
{
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    *at += s.n;
    return str_make(p, s.n);
}

static peer_t *peer_create(peers_t *peers, const peer_name_t *name, uint64_t key)
{
    size_t texts = name->upstream.n + name->target.n + name->host.n;
    peer_t *p = mem_zalloc(sizeof *p + texts);
    char *at = (char *)(p + 1);
    p->peers = peers;
    p->key = key;
    p->name = *name;
    p->name.upstream = keep(&at, name->upstream);
    p->name.target = keep(&at, name->target);
    p->name.host = keep(&at, name->host);
    p->cell = health_cell(key, now_s());
    if (!p->cell)
        p->cell = &p->own;
    return p;
}

peer_t *peer_acquire(peers_t *peers, const peer_name_t *name)
{
    uint64_t key = key_of(name);
    peer_t **bucket = &peers->buckets[key % BUCKETS], *p = *bucket;
    while (p && !(p->key == key && same_name(&p->name, name)))
        p = p->next;
    if (!p) {
        p = peer_create(peers, name, key);
        p->next = *bucket;
        *bucket = p;
        peers->n++;
    }
    p->refs++;
    return p;
}

void peer_hold(peer_t *p)
{
    ASSERT(p->refs > 0, "a peer is alive when it is held");
    p->refs++;
}

void peer_release(peer_t *p)
{
    ASSERT(p->refs > 0, "a peer is released once for each hold");
    if (--p->refs > 0)
        return;
    ASSERT(p->active == 0, "who tries a peer holds it");
    peer_t **at = &p->peers->buckets[p->key % BUCKETS];
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->peers->n--;
    free(p);
}

void peers_touch(peers_t *peers)
{
    uint32_t now = now_s();
    for (unsigned i = 0; i < BUCKETS; i++) {
        for (peer_t *p = peers->buckets[i]; p; p = p->next)
            health_touch(p->cell, now);
    }
}

// ---- latency ----

static double decay(const peer_t *p, uint64_t now_ms)
{
    return now_ms > p->latency_at_ms ? exp(-(double)(now_ms - p->latency_at_ms) / DECAY_MS) : 1;
}

void peer_took(peer_t *p, uint64_t took_us, uint64_t now_ms)
{
    // Even without a pause a sample counts for something: many a millisecond are many.
    double old = p->latency_at_ms ? fmin(decay(p, now_ms), 0.95) : 0;
    p->latency_us = p->latency_us * old + (double)took_us * (1 - old);
    p->latency_at_ms = now_ms ? now_ms : 1;
}

double peer_latency_us(const peer_t *p, uint64_t now_ms)
{
    return p->latency_us * decay(p, now_ms);
}
