// Reads the document's arrays, one table of rows for each entity; see entities.h.
// Invariant: element i of a document array is element i of the C array, so indices agree with Lua's (less one).
#include "config/entities.h"

#include "base/check.h"
#include "config/decode.h"
#include "config/rule.h"
#include "http/json.h"

#include <stdio.h>

enum { SCRATCH_MAX = 256 * 1024 };

#define COUNT(rows) (unsigned)(sizeof(rows) / sizeof *(rows))

// One array of the document: how many elements, and what fills one.
typedef struct entity_kind {
    const char *name;
    size_t size, items_at,
        count_at; // of an element; of the array and its count in generation_t
    int (*read)(decoder_t *d, generation_t *g, str_t json, uint32_t index, void *item);
} entity_kind_t;

static int check_index(decoder_t *d, const char *what, int32_t index, uint32_t n)
{
    if (index < -1 || (index >= 0 && (uint32_t)index >= n))
        return decoder_fail(d, "%s: there is no entry %d of %u", what, index + 1, n);
    return 0;
}

typedef struct service_json {
    service_t service;
    str_t protocol;
    strs_t ca_certificates;
} service_json_t;

static const field_row_t service_rows[] = {
    {"id", FIELD_STR, offsetof(service_json_t, service.id)},
    {"name", FIELD_STR, offsetof(service_json_t, service.name)},
    {"enabled", FIELD_BOOL, offsetof(service_json_t, service.enabled)},
    {"protocol", FIELD_STR, offsetof(service_json_t, protocol)},
    {"host", FIELD_LOWER, offsetof(service_json_t, service.host)},
    {"port", FIELD_U16, offsetof(service_json_t, service.port)},
    {"path", FIELD_STR, offsetof(service_json_t, service.path)},
    {"retries", FIELD_U32, offsetof(service_json_t, service.retries)},
    {"connect_timeout", FIELD_U32, offsetof(service_json_t, service.connect_timeout_ms)},
    {"write_timeout", FIELD_U32, offsetof(service_json_t, service.write_timeout_ms)},
    {"read_timeout", FIELD_U32, offsetof(service_json_t, service.read_timeout_ms)},
    {"tls_verify", FIELD_TRISTATE, offsetof(service_json_t, service.tls_verify)},
    {"tls_verify_depth", FIELD_U32, offsetof(service_json_t, service.tls_verify_depth)},
    {"client_certificate", FIELD_INDEX, offsetof(service_json_t, service.client_certificate)},
    {"ca_certificates", FIELD_STRS, offsetof(service_json_t, ca_certificates)},
};

static int32_t find_ca(const generation_t *g, str_t id)
{
    for (uint32_t i = 0; i < g->n_ca_certificates; i++) {
        if (str_eq(g->ca_certificates[i].id, id))
            return (int32_t)i;
    }
    return -1;
}

static int read_trusted(decoder_t *d, const generation_t *g, const strs_t *ids, service_t *s)
{
    s->ca_certificates = arena_alloc(d->keep, (ids->n + 1) * sizeof *s->ca_certificates);
    for (uint32_t i = 0; i < ids->n; i++) {
        int32_t found = find_ca(g, ids->v[i]);
        if (found < 0)
            return decoder_fail(d, "ca_certificates: no CA certificate has the id %.*s",
                                STR_FMT(ids->v[i]));
        s->ca_certificates[s->n_ca_certificates++] = (uint32_t)found;
    }
    return 0;
}

static int read_service(decoder_t *d, generation_t *g, str_t json, uint32_t index, void *item)
{
    service_json_t s = {.service = {.index = index,
                                    .enabled = true,
                                    .port = 80,
                                    .path = STR(""),
                                    .retries = 5,
                                    .connect_timeout_ms = 60000,
                                    .write_timeout_ms = 60000,
                                    .read_timeout_ms = 60000,
                                    .tls_verify = -1,
                                    .tls_verify_depth = -1,
                                    .client_certificate = -1,
                                    .json = json},
                        .protocol = STR("http")};
    if (decode_object(d, json, service_rows, COUNT(service_rows), &s) != 0 ||
        check_index(d, "client_certificate", s.service.client_certificate, g->n_certificates) !=
            0 ||
        read_trusted(d, g, &s.ca_certificates, &s.service) != 0)
        return -1;
    s.service.https = str_eq(s.protocol, STR("https"));
    *(service_t *)item = s.service;
    return 0;
}

typedef struct route_json {
    route_t route;
    int32_t service;
    str_t path_handling;
} route_json_t;

static const field_row_t route_rows[] = {
    {"id", FIELD_STR, offsetof(route_json_t, route.id)},
    {"name", FIELD_STR, offsetof(route_json_t, route.name)},
    {"service", FIELD_INDEX, offsetof(route_json_t, service)},
    {"protocols", FIELD_PROTOCOLS, offsetof(route_json_t, route.protocols)},
    {"strip_path", FIELD_BOOL, offsetof(route_json_t, route.strip_path)},
    {"preserve_host", FIELD_BOOL, offsetof(route_json_t, route.preserve_host)},
    {"request_buffering", FIELD_BOOL, offsetof(route_json_t, route.request_buffering)},
    {"response_buffering", FIELD_BOOL, offsetof(route_json_t, route.response_buffering)},
    {"https_redirect_status_code", FIELD_U16,
     offsetof(route_json_t, route.https_redirect_status_code)},
    {"path_handling", FIELD_STR, offsetof(route_json_t, path_handling)},
};

static int read_route(decoder_t *d, generation_t *g, str_t json, uint32_t index, void *item)
{
    route_json_t r = {.route = {.index = index,
                                .protocols = PROTO_HTTP | PROTO_HTTPS,
                                .strip_path = true,
                                .request_buffering = true,
                                .response_buffering = true,
                                .https_redirect_status_code = 426,
                                .json = json},
                      .service = -1};
    route_rule_t *rule = arena_zalloc(d->keep, sizeof *rule);
    if (decode_object(d, json, route_rows, COUNT(route_rows), &r) != 0 ||
        check_index(d, "service", r.service, g->n_services) != 0 ||
        rule_read(d, json, rule) != 0)
        return -1;
    r.route.service = r.service < 0 ? NULL : &g->services[r.service];
    r.route.path_handling = str_eq(r.path_handling, STR("v1"));
    r.route.rule = rule;
    *(route_t *)item = r.route;
    return 0;
}

static int read_upstream(decoder_t *d, generation_t *g, str_t json, uint32_t index, void *item)
{
    upstream_t u;
    if (upstream_read(json, d->keep, &u, d->why, d->why_cap) != 0 ||
        check_index(d, "client_certificate", u.client_certificate, g->n_certificates) != 0)
        return -1;
    u.index = index;
    *(upstream_t *)item = u;
    return 0;
}

static const field_row_t consumer_rows[] = {
    {"id", FIELD_STR, offsetof(consumer_t, id)},
    {"username", FIELD_STR, offsetof(consumer_t, username)},
    {"custom_id", FIELD_STR, offsetof(consumer_t, custom_id)},
};

static int read_consumer(decoder_t *d, generation_t *g, str_t json, uint32_t index, void *item)
{
    (void)g;
    (void)index;
    consumer_t *c = item;
    *c = (consumer_t){.json = json};
    return decode_object(d, json, consumer_rows, COUNT(consumer_rows), c);
}

typedef struct credential_json {
    credential_t credential;
    int32_t consumer;
} credential_json_t;

static const field_row_t credential_rows[] = {
    {"kind", FIELD_STR, offsetof(credential_json_t, credential.kind)},
    {"key", FIELD_STR, offsetof(credential_json_t, credential.key)},
    {"id", FIELD_STR, offsetof(credential_json_t, credential.id)},
    {"consumer", FIELD_INDEX, offsetof(credential_json_t, consumer)},
    {"data", FIELD_RAW, offsetof(credential_json_t, credential.json)},
};

static int read_credential(decoder_t *d, generation_t *g, str_t json, uint32_t index,
                           void *item)
{
    (void)index;
    credential_json_t c = {.credential = {.json = STR("{}")}, .consumer = -1};
    str_t id;
    if (decode_object(d, json, credential_rows, COUNT(credential_rows), &c) != 0 ||
        check_index(d, "consumer", c.consumer, g->n_consumers) != 0)
        return -1;
    if (c.consumer < 0 || c.credential.kind.n == 0)
        return decoder_fail(d, "a credential needs a kind and a consumer");
    if (c.credential.id.n == 0 && json_get(c.credential.json, STR("id"), &id) &&
        json_value_type(id) == JSON_STRING && decode_string(d, id, &c.credential.id) != 0)
        return -1;
    c.credential.consumer = (uint32_t)c.consumer;
    *(credential_t *)item = c.credential;
    return 0;
}

static const field_row_t plugin_rows[] = {
    {"id", FIELD_STR, offsetof(plugin_t, id)},
    {"name", FIELD_STR, offsetof(plugin_t, name)},
    {"instance_name", FIELD_STR, offsetof(plugin_t, instance_name)},
    {"enabled", FIELD_BOOL, offsetof(plugin_t, enabled)},
    {"protocols", FIELD_PROTOCOLS, offsetof(plugin_t, protocols)},
    {"route", FIELD_INDEX, offsetof(plugin_t, route)},
    {"service", FIELD_INDEX, offsetof(plugin_t, service)},
    {"consumer", FIELD_INDEX, offsetof(plugin_t, consumer)},
    {"consumer_group", FIELD_INDEX, offsetof(plugin_t, consumer_group)},
    {"config", FIELD_RAW, offsetof(plugin_t, config)},
    {"ordering", FIELD_RAW, offsetof(plugin_t, ordering)},
};

static int read_plugin(decoder_t *d, generation_t *g, str_t json, uint32_t index, void *item)
{
    plugin_t *p = item;
    *p = (plugin_t){.index = index,
                    .enabled = true,
                    .protocols = PROTO_HTTP | PROTO_HTTPS,
                    .route = -1,
                    .service = -1,
                    .consumer = -1,
                    .consumer_group = -1,
                    .config = STR("{}"),
                    .json = json};
    if (decode_object(d, json, plugin_rows, COUNT(plugin_rows), p) != 0 ||
        check_index(d, "route", p->route, g->n_routes) != 0 ||
        check_index(d, "service", p->service, g->n_services) != 0 ||
        check_index(d, "consumer", p->consumer, g->n_consumers) != 0)
        return -1;
    return p->name.n ? 0 : decoder_fail(d, "a plugin needs a name");
}

typedef struct certificate_json {
    certificate_t certificate;
    strs_t snis;
} certificate_json_t;

static const field_row_t certificate_rows[] = {
    {"id", FIELD_STR, offsetof(certificate_json_t, certificate.id)},
    {"cert", FIELD_STR, offsetof(certificate_json_t, certificate.cert)},
    {"key", FIELD_STR, offsetof(certificate_json_t, certificate.key)},
    {"snis", FIELD_STRS, offsetof(certificate_json_t, snis)},
};

static int read_certificate(decoder_t *d, generation_t *g, str_t json, uint32_t index,
                            void *item)
{
    (void)g;
    (void)index;
    certificate_json_t c = {0};
    if (decode_object(d, json, certificate_rows, COUNT(certificate_rows), &c) != 0)
        return -1;
    for (uint32_t i = 0; i < c.snis.n; i++)
        c.snis.v[i] = lower_dup(d->keep, c.snis.v[i]);
    c.certificate.snis = c.snis.v;
    c.certificate.n_snis = c.snis.n;
    *(certificate_t *)item = c.certificate;
    return 0;
}

static const field_row_t ca_certificate_rows[] = {
    {"id", FIELD_STR, offsetof(ca_certificate_t, id)},
    {"cert", FIELD_STR, offsetof(ca_certificate_t, cert)},
};

static int read_ca_certificate(decoder_t *d, generation_t *g, str_t json, uint32_t index,
                               void *item)
{
    (void)g;
    (void)index;
    ca_certificate_t *c = item;
    *c = (ca_certificate_t){0};
    return decode_object(d, json, ca_certificate_rows, COUNT(ca_certificate_rows), c);
}

#define KIND(field, type, read_fn)                                                             \
    {                                                                                          \
#field, sizeof(type), offsetof(generation_t, field),                                   \
            offsetof(generation_t, n_##field), read_fn                                         \
    }

// In the order that references need: what is referred to comes first.
static const entity_kind_t kinds[] = {
    KIND(certificates, certificate_t, read_certificate),
    KIND(ca_certificates, ca_certificate_t, read_ca_certificate),
    KIND(services, service_t, read_service),
    KIND(routes, route_t, read_route),
    KIND(consumers, consumer_t, read_consumer),
    KIND(credentials, credential_t, read_credential),
    KIND(plugins, plugin_t, read_plugin),
    KIND(upstreams, upstream_t, read_upstream),
};

static int read_kind(decoder_t *d, generation_t *g, const entity_kind_t *kind,
                     const json_member_t *m)
{
    str_t rest = m->value, element;
    uint32_t index = 0;
    if (m->type != JSON_ARRAY)
        return m->type == JSON_NULL ? 0 : decoder_fail(d, "%s is not an array", kind->name);
    char *items = arena_zalloc(d->keep, kind->size * ((size_t)m->count + 1));
    memcpy((char *)g + kind->items_at, &items, sizeof items);
    while (json_next(&rest, &element)) {
        ASSERT(index < m->count, "the scanner counted the elements");
        if (kind->read(d, g, element, index, items + kind->size * index) != 0) {
            char inner[200];
            snprintf(inner, sizeof inner, "%s", d->why);
            return decoder_fail(d, "%s[%u]: %s", kind->name, index + 1, inner);
        }
        index++;
        if (arena_size(d->scratch) > SCRATCH_MAX)
            arena_dispose(d->scratch);
    }
    memcpy((char *)g + kind->count_at, &index, sizeof index);
    return 0;
}

static str_t raw_array(str_t document, str_t name)
{
    str_t value;
    bool found = json_get(document, name, &value) && json_value_type(value) == JSON_ARRAY;
    return found ? value : STR("[]");
}

static str_t raw_object(str_t document, str_t name)
{
    str_t value;
    bool found = json_get(document, name, &value) && json_value_type(value) == JSON_OBJECT;
    return found ? value : STR("{}");
}

static int read_all(decoder_t *d, generation_t *g, const json_member_t *members, uint32_t n)
{
    for (unsigned k = 0; k < COUNT(kinds); k++) {
        for (uint32_t i = 0; i < n; i++) {
            if (str_eq(members[i].key, str_from(kinds[k].name)) &&
                read_kind(d, g, &kinds[k], &members[i]) != 0)
                return -1;
        }
    }
    return 0;
}

int entities_read(generation_t *g, char *why, size_t why_cap)
{
    arena_t top, scratch;
    json_member_t *members;
    uint32_t n;
    json_error_t err;
    arena_init(&top);
    arena_init(&scratch);
    decoder_t d = {.keep = &g->arena, .scratch = &scratch, .why = why, .why_cap = why_cap};
    int rc = json_object(g->json, &top, &members, &n, &err);
    if (rc != 0)
        decoder_fail(&d, "the configuration document is not valid: %s at byte %zu", err.why,
                     err.at);
    else
        rc = read_all(&d, g, members, n);
    arena_dispose(&scratch);
    arena_dispose(&top);
    if (rc != 0)
        return -1;
    g->consumer_groups_json = raw_array(g->json, STR("consumer_groups"));
    g->vaults_json = raw_array(g->json, STR("vaults"));
    g->ca_certificates_json = raw_array(g->json, STR("ca_certificates"));
    g->certificates_json = raw_array(g->json, STR("certificates"));
    g->daos_json = raw_array(g->json, STR("daos"));
    g->entities_json = raw_object(g->json, STR("entities"));
    g->code_json = raw_object(g->json, STR("code"));
    g->sets_json = raw_object(g->json, STR("sets"));
    g->secrets_json = raw_object(g->json, STR("secrets"));
    return 0;
}
