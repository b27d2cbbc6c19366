// THE contract between C and Lua, read unchanged by the C compiler and by ffi.cdef (so: no # line but the next one).
// Here is what is hot; what waits or is cold are C functions in the module "moongate.native" (runtime/lua/native_*.c).
// An FFI function acts on the current request, does one thing, returns a code (MG_OK or below zero). It never runs Lua,
// waits or raises. Strings in: pointer and length straight from a Lua string. Strings out: borrowed until the next call.
#pragma once

enum { MG_ABI_VERSION = 2 };

// Codes.
enum {
    MG_OK = 0,
    MG_ABSENT = -1,     // no such header, member, ... : nil in Lua
    MG_NO_REQUEST = -2, // called from a timer, from init_worker or from a module's main chunk
    MG_INVALID = -3,    // the bytes of a name or a value are not allowed there
    MG_SENT = -4,       // the response head has been sent
    MG_NOT_OPEN = -5,   // json_open was not called, or failed
    MG_FAILED = -6,
};

// Phases: the bits of config/generation.h, and names of Kong's and of ngx.get_phase.
enum {
    MG_PHASE_INIT_WORKER = 0x0001,
    MG_PHASE_CERTIFICATE = 0x0002,
    MG_PHASE_REWRITE = 0x0010,
    MG_PHASE_ACCESS = 0x0020,
    MG_PHASE_BALANCER = 0x0040,
    MG_PHASE_RESPONSE = 0x0080,
    MG_PHASE_HEADER_FILTER = 0x0200,
    MG_PHASE_BODY_FILTER = 0x0400,
    MG_PHASE_TIMER = 0x1000,
    MG_PHASE_LOG = 0x2000,
};

typedef struct mg_str {
    const char *p;
    uint64_t n;
} mg_str_t;

// What runs now. Lua reads it in place; only C writes it.
typedef struct mg_state {
    uint32_t version;
    uint32_t size;       // sizeof this struct
    uint32_t phase;      // MG_PHASE_*; 0: a main chunk or configuration
    int32_t slot;        // of the task, from 1: index of its tables in Lua
    int32_t has_request; // 0: timer, init_worker, main chunk
    int32_t may_wait;    // 0: on the main state (header_filter, body_filter, log, ...)
} mg_state_t;

mg_state_t *mg_state(void);

// ---- the client's request ----
enum {
    MG_METHOD,
    MG_PATH,
    MG_RAW_PATH,
    MG_QUERY,
    MG_TARGET,
    MG_SCHEME,
    MG_HOST,
    MG_ID,
    MG_CLIENT_IP,
    MG_PEER_IP,
    MG_FORWARDED_PROTO,
    MG_FORWARDED_HOST,
    MG_FORWARDED_PATH,
    MG_PREFIX,
    MG_SERVER_ADDR,
    MG_EXIT_REASON,
    MG_UP_METHOD,
    MG_UP_PATH,
    MG_UP_QUERY,
    MG_UP_HOST,
    MG_UP_HOST_HEADER,
    MG_LOG_FIELDS,
};
int32_t mg_request_str(int32_t which, mg_str_t *out);

enum {
    MG_PORT,
    MG_MINOR,
    MG_CLIENT_PORT,
    MG_PEER_PORT,
    MG_TRUSTED,
    MG_FORWARDED_PORT,
    MG_SERVER_PORT,
    MG_START_TIME,
    MG_STATUS,
    MG_UPSTREAM_STATUS,
    MG_HEAD_SENT,
    MG_SOURCE,
    MG_CONSUMER,
    MG_CREDENTIAL,
    MG_ROUTE,
    MG_SERVICE,
    MG_BODY_SIZE,
    MG_BODY_COMPLETE,
    MG_BYTES_IN,
    MG_BYTES_OUT,
    MG_LATENCY_GATEWAY,
    MG_LATENCY_UPSTREAM,
    MG_LATENCY_REQUEST,
    MG_LATENCY_RECEIVE,
    MG_BUFFERING,
    MG_CONTENT_LENGTH,
    MG_UP_PORT,
    MG_UP_HTTPS,
    MG_CONNECTION_REQUESTS,
    MG_ABORTED,
    MG_FIRST_BYTE,
    MG_HEADER_COUNT,
    MG_WHOLE,
};
// The number asked for in *out (times and latencies in seconds and milliseconds, as the Lua side says; -1: unknown).
int32_t mg_request_num(int32_t which, double *out);

// Field lines. FROM_CLIENT is what goes upstream too; RESPONSE what the client gets; UPSTREAM what the service sent.
enum { MG_FROM_CLIENT, MG_RESPONSE, MG_UPSTREAM };
int32_t mg_header_get(int32_t side, const char *name, uint64_t name_n, mg_str_t *out);
// How many lines bear that name (changes recorded for a response that is not there yet are not counted).
int32_t mg_header_count(int32_t side, const char *name, uint64_t name_n);
// Line number `*at` or the next one that counts: name and value; *at is advanced. MG_ABSENT at the end.
int32_t mg_header_next(int32_t side, uint32_t *at, mg_str_t *name, mg_str_t *value);
// Change number `at` recorded for a response that is not there yet (those for 200 only are left out). MG_ABSENT at the end.
enum { MG_CHANGE_SET, MG_CHANGE_ADD, MG_CHANGE_REMOVE };
int32_t mg_header_recorded(uint32_t at, int32_t *change, mg_str_t *name, mg_str_t *value);
int32_t mg_header_set(int32_t side, const char *name, uint64_t name_n, const char *value,
                      uint64_t value_n);
int32_t mg_header_add(int32_t side, const char *name, uint64_t name_n, const char *value,
                      uint64_t value_n);
// As mg_header_set with a whole number as its value, without a Lua string for each new number.
int32_t mg_header_set_number(int32_t side, const char *name, uint64_t name_n, double value);
int32_t mg_header_remove(int32_t side, const char *name, uint64_t name_n);
int32_t mg_header_on_success(const char *name, uint64_t name_n, const char *value,
                             uint64_t value_n);

int32_t mg_status_set(uint32_t status);
// Number of the generation that entities are asked of; 0: none.
double mg_generation(void);
// Indexes of a credential and of its consumer, by kind and lookup key; MG_ABSENT. In the generation that route.entity asks.
int32_t mg_credential_find(const char *kind, uint64_t kind_n, const char *key, uint64_t key_n,
                           uint32_t *credential, uint32_t *consumer);
int32_t mg_consumer_set(int32_t consumer, int32_t credential);
// As mg_consumer_set, and the upstream learns of it by X-Consumer-* and X-Credential-Identifier (the identifier; not copied when n is 0) or, with
// credential -1, X-Anonymous-Consumer. Whatever the client sent under these names is gone. MG_INVALID: no such consumer.
int32_t mg_identify(int32_t consumer, int32_t credential, const char *identifier,
                    uint64_t identifier_n);
// Takes off whatever the client sent under the names of mg_identify.
int32_t mg_identity_clear(void);
// Asks for a phase that its plugin declares OPTIONAL.
int32_t mg_want(uint32_t phase);
// Marks that the task's slot holds Lua tables to be cleared when it ends.
void mg_slot_used(void);

// ---- plugins that end workers (core/quarantine.h) ----
// [0]: the row (native.quarantine_row) of the plugin whose code runs; 0: none that is watched. Lua writes it.
uint32_t *mg_plugin_running(void);
// By row: not 0 when the plugin is switched off.
const uint32_t *mg_plugin_off(void);

// ---- the body as a document ----
enum {
    MG_JSON_ABSENT,
    MG_JSON_NULL,
    MG_JSON_FALSE,
    MG_JSON_TRUE,
    MG_JSON_NUMBER,
    MG_JSON_STRING,
    MG_JSON_ARRAY,
    MG_JSON_OBJECT
};
int32_t mg_json_open(mg_str_t *why);
// The member's type (MG_JSON_*), its raw text and its element count, edits included; MG_ABSENT, MG_NOT_OPEN.
int32_t mg_json_find(const char *name, uint64_t name_n, mg_str_t *raw, uint32_t *count);
// The unescaped text of a string member; MG_ABSENT when it is none.
int32_t mg_json_string(const char *name, uint64_t name_n, mg_str_t *out);
// Raw text of the member `key` of the object member `name`.
int32_t mg_json_member(const char *name, uint64_t name_n, const char *key, uint64_t key_n,
                       mg_str_t *out);
int32_t mg_json_set(const char *name, uint64_t name_n, const char *raw, uint64_t raw_n);
int32_t mg_json_remove(const char *name, uint64_t name_n);

// ---- node ----
double mg_now(void);  // wall clock, seconds, read at the start of this turn of the loop
double mg_mono(void); // monotonic seconds, read now
void mg_update_time(void);
int32_t mg_log_wants(int32_t level);

// ---- shared memory ----
int32_t mg_shd_incr(int32_t dict, const char *key, uint64_t key_n, double by, int32_t has_init,
                    double init, double ttl_s, double *out, int32_t *forcible);
// limits[n] -> used[n]; 1: taken, 0: refused and *full says by which (0-based).
int32_t mg_limit_take(int32_t dict, const char *key, uint64_t key_n, double cost,
                      const double *start_s, const double *length_s, const double *limits,
                      double *used, int32_t n, int32_t *full);
int32_t mg_stat_add(int32_t handle, double by);
int32_t mg_stat_set(int32_t handle, double value);
int32_t mg_stat_observe(int32_t handle, double value);

// ---- certificates (abi_tls.c) ----
// Of PEM or DER text, owned; NULL and *why. The structs are OpenSSL's: a chain has the leaf first.
struct stack_st_X509;
struct evp_pkey_st;
struct x509_store_st;
struct tls_cert;
struct stack_st_X509 *mg_tls_chain(const char *text, uint64_t n, mg_str_t *why);
void mg_tls_chain_free(struct stack_st_X509 *chain);
struct evp_pkey_st *mg_tls_key(const char *text, uint64_t n, mg_str_t *why);
void mg_tls_key_free(struct evp_pkey_st *key);
// A chain with its key, owned; NULL and *why when they do not belong together.
struct tls_cert *mg_tls_cert(struct stack_st_X509 *chain, struct evp_pkey_st *key,
                             mg_str_t *why);
void mg_tls_cert_free(struct tls_cert *cert);
// For this request's way upstream: what is shown, who is trusted, how long a chain may be. Counted while they are needed.
int32_t mg_up_tls_cert(struct tls_cert *cert);
int32_t mg_up_tls_store(struct x509_store_st *store);
int32_t mg_up_tls_depth(int32_t depth);

// The client's handshake that the certificate phase decides on; MG_NO_REQUEST elsewhere. MG_FAILED with *why.
int32_t mg_hello_clear_cert(void);
int32_t mg_hello_chain(struct stack_st_X509 *chain, mg_str_t *why);
int32_t mg_hello_key(struct evp_pkey_st *key, mg_str_t *why);
// Asks the client for a certificate; authorities (NULL: none) are named to it, and with `trust` judge it.
int32_t mg_hello_ask_client(const struct stack_st_X509 *authorities, int32_t trust,
                            int32_t depth);
int32_t mg_hello_no_resumption(void);

// ---- the usual AI request (abi_ai.c) ----
enum { MG_AI_DECLINED = 1, MG_AI_NEEDS_BODY = 2 };
enum { MG_AI_STREAM = 1, MG_AI_USAGE_ASKED = 2, MG_AI_LOGGED = 4 };
// Does all that ai-proxy does to a usual request, or nothing. LOGGED: another plugin of the route logs. plan: of moongate.native.ai_plan. MG_OK with *flags (MG_AI_STREAM ...);
// MG_AI_DECLINED: not usual; MG_AI_NEEDS_BODY: read the body, then call again.
int32_t mg_ai_apply(const void *plan, uint32_t *flags);
