// A generation: one immutable configuration in C memory, built from the loader's JSON document. Requests hold a reference to the
// generation they began with. Not the loader (lualib/config) and not run-time state (pools, health: core).
// Invariant: after generation_create nothing here changes, but the reference count and the phase masks (set once, before the first request).
#pragma once

#include "base/arena.h"
#include "config/upstream.h"
#include "http/head.h"

typedef struct generation generation_t;
typedef struct service service_t;
typedef struct route route_t;
typedef struct route_rule route_rule_t; // config/rule.h: what a route matches; the router's
typedef struct lookups lookups_t;       // config/lookup.h: the hash tables behind the finders

// Bits of phases, shared with Lua (abi.h has the same numbers).
typedef enum phase {
    PHASE_INIT_WORKER = 0x0001,
    PHASE_CERTIFICATE = 0x0002,
    PHASE_REWRITE = 0x0010,
    PHASE_ACCESS = 0x0020,
    PHASE_BALANCER = 0x0040,
    PHASE_RESPONSE = 0x0080,
    PHASE_HEADER_FILTER = 0x0200,
    PHASE_BODY_FILTER = 0x0400,
    PHASE_TIMER = 0x1000,
    PHASE_LOG = 0x2000,
} phase_t;

enum { PROTO_HTTP = 1, PROTO_HTTPS = 2 };

struct service {
    uint32_t index;
    str_t id, name;
    bool enabled; // false: its routes match nothing
    bool https;   // protocol
    str_t host;   // lower-case; name or IP literal
    uint16_t port;
    str_t path;       // "" when none
    uint32_t retries; // attempts after the first
    uint32_t connect_timeout_ms, write_timeout_ms, read_timeout_ms;
    int8_t tls_verify;          // 1, 0, -1: the node's default
    int32_t tls_verify_depth;   // -1: no limit of its own
    int32_t client_certificate; // index into certificates, -1 none
    uint32_t *ca_certificates;  // indices: who alone is trusted; none: the node's anchors
    uint32_t n_ca_certificates;
    const upstream_t *upstream; // the Upstream that `host` names, or NULL
    str_t json;                 // the entity as JSON object text, for Lua and logs
};

struct route {
    uint32_t index;
    str_t id, name;
    const service_t *service; // NULL: none
    uint8_t protocols;        // PROTO_*
    bool strip_path, preserve_host, request_buffering, response_buffering;
    uint16_t https_redirect_status_code;
    uint8_t path_handling; // 0: v0, 1: v1
    uint32_t phases; // in which some plugin may run for this route (generation_set_phases)
    uint32_t plugin_phases; // unused by config; core may cache
    const route_rule_t *rule;
    str_t json;
};

typedef struct consumer {
    str_t id, username, custom_id;
    str_t json; // with "groups"
} consumer_t;

typedef struct credential {
    str_t kind;        // "keyauth", "basicauth", ...
    str_t key;         // unique lookup key within its kind
    uint32_t consumer; // index
    str_t id;          // "" when the document gives none
    str_t json;        // the credential's own fields ("data" of the document)
} credential_t;

typedef struct plugin {
    uint32_t index;
    str_t id, name, instance_name;
    bool enabled; // false: never runs, and counts for no phase
    int32_t route, service, consumer, consumer_group; // indices, -1: not scoped by it
    uint8_t protocols;
    str_t config;   // raw JSON object; vault references unresolved
    str_t ordering; // raw JSON object of wishes, or "null" or empty
    str_t json;     // whole entity
} plugin_t;

typedef struct certificate {
    str_t id, cert, key; // PEM
    str_t *snis;
    uint32_t n_snis;
} certificate_t;

typedef struct ca_certificate {
    str_t id, cert; // PEM
} ca_certificate_t;

struct generation {
    uint32_t refs;   // atomic
    uint64_t number; // 1, 2, ... in this process; set when it is put in use
    char hash[33];   // of the document, hex
    arena_t arena;
    str_t json; // the document; owned by the arena
    service_t *services;
    uint32_t n_services;
    route_t *routes;
    uint32_t n_routes;
    upstream_t *upstreams;
    uint32_t n_upstreams;
    consumer_t *consumers;
    uint32_t n_consumers;
    credential_t *credentials;
    uint32_t n_credentials;
    plugin_t *plugins;
    uint32_t n_plugins;
    certificate_t *certificates;
    uint32_t n_certificates;
    ca_certificate_t *ca_certificates;
    uint32_t n_ca_certificates;
    str_t consumer_groups_json, vaults_json, ca_certificates_json; // raw arrays
    str_t certificates_json, daos_json; // raw arrays; daos: what plugins' own entities are like
    str_t entities_json;                // raw object: arrays of entities that only Lua reads
    str_t sets_json; // raw object: which members of plugins' configurations are sets
    str_t code_json,
        secrets_json; // raw objects: plugins' Lua files; values behind references to files
    struct router *router;
    lookups_t *lookups;
    uint32_t global_phases; // generation_set_phases
    uint64_t seed;          // of this generation's hash tables; random
    void *runtime;          // core's state of this generation in its worker; core frees it by
    void (*runtime_free)(void *runtime);
    void *tls; // core's TLS identities of it (core/identity.h)
    void (*tls_free)(void *tls);
    void *script; // lua's
    void (*script_free)(void *script);
};

// Builds from the document (copied). 0 and *out owned with one reference, or -1 with text in `why` (a bug of the loader, or a regex that does not compile).
// Pure and thread-safe: may run on a pool thread.
int generation_create(str_t document, uint64_t number, generation_t **out, char *why,
                      size_t why_cap);
generation_t *generation_acquire(generation_t *g);
void generation_release(generation_t *g); // frees at zero
// How many exist in this process.
uint32_t generations_alive(void);
// What generation_t.hash is for a document.
void generation_hash(str_t document, char out[33]);

// Sets, for each plugin name, the phases its handler implements, and from that each route's `phases` mask
// (every instance that could run on the route: global, its service, its own, any consumer's). `phases_of` is asked once for each plugin.
void generation_set_phases(generation_t *g, uint32_t (*phases_of)(void *arg, str_t plugin_name),
                           void *arg);
// Phases of global plugins: what runs when no route matched.
uint32_t generation_global_phases(const generation_t *g);

// Lookups by hash; NULL when absent. credential_find compares in constant time after the hash lookup.
const credential_t *credential_find(const generation_t *g, str_t kind, str_t key);
const consumer_t *consumer_find(const generation_t *g, str_t id_or_username);
const consumer_t *consumer_find_custom_id(const generation_t *g, str_t custom_id);
const upstream_t *upstream_find(const generation_t *g, str_t name);
const service_t *service_find(const generation_t *g, str_t id_or_name);
const route_t *route_find(const generation_t *g, str_t id_or_name);
// Certificate for a server name: exact, then wildcard, then the one whose sni is "*"; NULL.
const certificate_t *certificate_for(const generation_t *g, str_t sni);
