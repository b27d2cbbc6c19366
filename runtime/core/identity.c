// Identities: configuration and what plugins set become TLS contexts, kept by what they consist of. A handful per generation, so a
// list in order of use is the index.
#include "core/identity.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "core/anchors.h"
#include "core/worker.h"

typedef struct kept {
    list_t links; // newest use first
    identity_t id;
    int store_n; // certificates in id.store when the context was made: a store may grow
    tls_ctx_t *ctx;
} kept_t;

typedef struct identities {
    list_t kept;
    unsigned n;
    tls_cert_t **certs;   // by certificate
    tls_store_t **stores; // by service, for those with CA certificates
    uint32_t n_certs, n_stores;
} identities_t;

static void kept_free(identities_t *s, kept_t *k)
{
    list_unlink(&k->links);
    s->n--;
    tls_release(k->ctx);
    tls_cert_release(k->id.cert);
    tls_store_release(k->id.store);
    free(k);
}

static void identities_free(void *p)
{
    identities_t *s = p;
    while (!list_empty(&s->kept))
        kept_free(s, CONTAINER_OF(s->kept.next, kept_t, links));
    ASSERT(s->n == 0, "kept identities are counted");
    for (uint32_t i = 0; i < s->n_certs; i++)
        tls_cert_release(s->certs[i]);
    for (uint32_t i = 0; i < s->n_stores; i++)
        tls_store_release(s->stores[i]);
    free(s->certs);
    free(s->stores);
    free(s);
}

static identities_t *identities_of(generation_t *g)
{
    if (!g->tls) {
        identities_t *s = mem_zalloc(sizeof *s);
        list_init(&s->kept);
        s->certs = mem_zalloc((g->n_certificates + 1) * sizeof *s->certs);
        s->n_certs = g->n_certificates;
        s->stores = mem_zalloc((g->n_services + 1) * sizeof *s->stores);
        s->n_stores = g->n_services;
        g->tls = s;
        g->tls_free = identities_free;
    }
    return g->tls;
}

// ---- contexts ----

static bool same_store(const kept_t *k, const tls_store_t *store)
{
    return k->id.store == store && (!store || k->store_n == tls_store_count(store));
}

static kept_t *find(identities_t *s, const identity_t *id)
{
    for (list_t *l = s->kept.next; l != &s->kept; l = l->next) {
        kept_t *k = CONTAINER_OF(l, kept_t, links);
        if (k->id.verify == id->verify && k->id.depth == id->depth &&
            same_store(k, id->store) && tls_cert_same(k->id.cert, id->cert))
            return k;
    }
    return NULL;
}

static tls_ctx_t *make_context(worker_t *w, const identity_t *id, const char **why)
{
    tls_ctx_t *ctx = NULL;
    tls_client_opts_t o = {.verify = id->verify,
                           .limit_depth = id->depth >= 0,
                           .verify_depth = id->depth,
                           .store = id->store,
                           .cert = id->cert};
    if (id->verify && !o.store && !(o.store = anchors_get(w->anchors, why)))
        return NULL;
    return tls_client_create(&o, &ctx, why) == 0 ? ctx : NULL;
}

tls_ctx_t *identity_context(worker_t *w, generation_t *g, const identity_t *id,
                            const char **why)
{
    identities_t *s = identities_of(g);
    kept_t *k = find(s, id);
    if (!k) {
        tls_ctx_t *ctx = make_context(w, id, why);
        if (!ctx)
            return NULL;
        if (s->n >= IDENTITIES_MAX)
            kept_free(s, CONTAINER_OF(s->kept.prev, kept_t, links));
        k = mem_zalloc(sizeof *k);
        *k = (kept_t){.id = *id, .ctx = ctx};
        k->store_n = id->store ? tls_store_count(id->store) : 0;
        if (id->cert)
            tls_cert_acquire(id->cert);
        if (id->store)
            tls_store_acquire(id->store);
        s->n++;
    } else {
        list_unlink(&k->links);
    }
    list_push_front(&s->kept, &k->links);
    return k->ctx;
}

// ---- what is configured ----

tls_cert_t *identity_certificate(generation_t *g, const certificate_t *c)
{
    identities_t *s = identities_of(g);
    const char *why = NULL;
    size_t i = (size_t)(c - g->certificates);
    ASSERT(i < s->n_certs, "a certificate belongs to its generation");
    if (!s->certs[i] && tls_cert_create(c->cert, c->key, &s->certs[i], &why) != 0)
        log_write(LOG_ERR, "certificate %.*s cannot be used: %s", STR_FMT(c->id), why);
    return s->certs[i];
}

// The anchors of a service that names its own. NULL with *why.
static tls_store_t *service_store(generation_t *g, const service_t *service, const char **why)
{
    identities_t *s = identities_of(g);
    tls_store_t **store = &s->stores[service->index];
    ASSERT(service->index < s->n_stores, "a service belongs to its generation");
    if (*store)
        return *store;
    buf_t pem = {0};
    for (uint32_t i = 0; i < service->n_ca_certificates; i++) {
        buf_append(&pem, g->ca_certificates[service->ca_certificates[i]].cert);
        buf_append(&pem, STR("\n"));
    }
    if (tls_store_create(buf_str(&pem), store, why) != 0)
        *store = NULL;
    buf_dispose(&pem);
    return *store;
}

static int32_t certificate_index(const request_t *r)
{
    if (r->service && r->service->client_certificate >= 0)
        return r->service->client_certificate;
    return r->up.balancer ? r->up.balancer->client_certificate : -1;
}

// Fills *id from the configuration and from what plugins set over it. 0, or -1 with *why.
static int resolve(request_t *r, identity_t *id, const char **why)
{
    const service_t *s = r->service;
    const upstream_request_t *up = &r->up;
    id->verify = up->tls_verify >= 0 ? up->tls_verify : r->worker->settings->tls_verify;
    id->depth = up->tls_depth >= 0 ? up->tls_depth : s ? s->tls_verify_depth : -1;
    id->cert = up->tls_cert;
    id->store = up->tls_store;
    int32_t i = id->cert ? -1 : certificate_index(r);
    if (i >= 0 && !(id->cert = identity_certificate(r->gen, &r->gen->certificates[i]))) {
        *why = "the client certificate cannot be used";
        return -1;
    }
    if (id->verify && !id->store && s && s->n_ca_certificates)
        id->store = service_store(r->gen, s, why);
    return id->verify && !id->store && s && s->n_ca_certificates ? -1 : 0;
}

tls_ctx_t *identity_for(request_t *r, const char **why)
{
    identity_t id;
    if (resolve(r, &id, why) != 0)
        return NULL;
    if (!id.verify) { // nobody is asked about
        id.depth = -1;
        id.store = NULL;
    }
    return identity_context(r->worker, r->gen, &id, why);
}

// ---- what plugins set ----

static void release_cert(void *cert)
{
    tls_cert_release(cert);
}

static void release_store(void *store)
{
    tls_store_release(store);
}

void identity_set_cert(request_t *r, tls_cert_t *cert)
{
    r->up.tls_cert = cert;
    if (cert)
        arena_defer(&r->arena, release_cert, tls_cert_acquire(cert));
}

void identity_set_store(request_t *r, tls_store_t *store)
{
    r->up.tls_store = store;
    if (store)
        arena_defer(&r->arena, release_store, tls_store_acquire(store));
}
