// The FFI functions about certificates: parsing what scripts bring, and what they set for the way upstream (abi.h). Not the client's
// side of a handshake (native_hello.c). Invariant: objects given to Lua are counted or owned; Lua frees each once.
#include "lua/bridge.h"

#include "core/identity.h"
#include "io/tls.h"

static void say(mg_str_t *why, const char *text)
{
    *why = (mg_str_t){.p = text, .n = strlen(text)};
}

struct stack_st_X509 *mg_tls_chain(const char *text, uint64_t n, mg_str_t *why)
{
    tls_chain_t *chain = NULL;
    const char *reason = "";
    if (tls_chain_parse(str_make(text, n), &chain, &reason) != 0)
        say(why, reason);
    return chain;
}

void mg_tls_chain_free(struct stack_st_X509 *chain)
{
    tls_chain_free(chain);
}

struct evp_pkey_st *mg_tls_key(const char *text, uint64_t n, mg_str_t *why)
{
    tls_key_t *key = NULL;
    const char *reason = "";
    if (tls_key_parse(str_make(text, n), &key, &reason) != 0)
        say(why, reason);
    return key;
}

void mg_tls_key_free(struct evp_pkey_st *key)
{
    tls_key_free(key);
}

struct tls_cert *mg_tls_cert(struct stack_st_X509 *chain, struct evp_pkey_st *key,
                             mg_str_t *why)
{
    tls_cert_t *cert = NULL;
    const char *reason = "";
    if (tls_cert_join(chain, key, &cert, &reason) != 0)
        say(why, reason);
    return cert;
}

void mg_tls_cert_free(struct tls_cert *cert)
{
    tls_cert_release(cert);
}

int32_t mg_up_tls_cert(struct tls_cert *cert)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    identity_set_cert(r, cert);
    return MG_OK;
}

int32_t mg_up_tls_store(struct x509_store_st *store)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    identity_set_store(r, store);
    return MG_OK;
}

int32_t mg_up_tls_depth(int32_t depth)
{
    request_t *r = current_request();
    if (!r)
        return MG_NO_REQUEST;
    r->up.tls_depth = depth;
    return MG_OK;
}
