// The FFI functions about who the client is (abi.h): consumer and credential of the request, and the field lines by
// which the upstream learns of them. Not the search for a credential (abi_request.c), nor its check (the plugins).
// Invariant: an identity line that a client sent itself never reaches the upstream.
#include "lua/bridge.h"

#include "base/check.h"

enum { X_ID, X_CUSTOM_ID, X_USERNAME, X_GROUPS, X_CREDENTIAL, X_ANONYMOUS, X_COUNT };

static const str_t LINES[X_COUNT] = {
    [X_ID] = {.p = "X-Consumer-ID", .n = sizeof "X-Consumer-ID" - 1},
    [X_CUSTOM_ID] = {.p = "X-Consumer-Custom-ID", .n = sizeof "X-Consumer-Custom-ID" - 1},
    [X_USERNAME] = {.p = "X-Consumer-Username", .n = sizeof "X-Consumer-Username" - 1},
    [X_GROUPS] = {.p = "X-Consumer-Groups", .n = sizeof "X-Consumer-Groups" - 1},
    [X_CREDENTIAL] = {.p = "X-Credential-Identifier",
                      .n = sizeof "X-Credential-Identifier" - 1},
    [X_ANONYMOUS] = {.p = "X-Anonymous-Consumer", .n = sizeof "X-Anonymous-Consumer" - 1},
};

static void clear(request_t *r)
{
    for (int i = 0; i < X_COUNT; i++)
        headers_remove(&r->head.headers, HDR_OTHER, LINES[i]);
}

// The value outlives the request: it is the generation's, or in the arena. What may not stand in a field is left out.
static void tell(request_t *r, int which, str_t value)
{
    if (value.n && header_value_valid(value))
        headers_add(&r->head.headers, &r->arena, HDR_OTHER, LINES[which], value);
}

static bool index_fits(int32_t index, uint32_t count)
{
    return index >= -1 && index < (int32_t)count;
}

int32_t mg_consumer_set(int32_t consumer, int32_t credential)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    if (!index_fits(consumer, r->gen->n_consumers) ||
        !index_fits(credential, r->gen->n_credentials))
        return MG_INVALID;
    r->consumer = consumer;
    r->credential = credential;
    return MG_OK;
}

int32_t mg_identity_clear(void)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    clear(r);
    return MG_OK;
}

int32_t mg_identify(int32_t consumer, int32_t credential, const char *identifier,
                    uint64_t identifier_n)
{
    int32_t code = consumer < 0 ? MG_INVALID : mg_consumer_set(consumer, credential);
    if (code != MG_OK)
        return code;
    request_t *r = current_request();
    ASSERT(r && r->consumer == consumer, "the consumer was set on the request that runs");
    const consumer_t *c = &r->gen->consumers[consumer];
    clear(r);
    tell(r, X_ID, c->id);
    tell(r, X_CUSTOM_ID, c->custom_id);
    tell(r, X_USERNAME, c->username);
    if (credential < 0)
        tell(r, X_ANONYMOUS, STR("true"));
    else
        tell(r, X_CREDENTIAL, arena_dup(&r->arena, str_make(identifier, identifier_n)));
    return MG_OK;
}
