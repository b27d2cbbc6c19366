// The FFI functions about certificates (abi.h): parsing what scripts bring, what they set for the way upstream, and for a client's
// handshake. Invariant: objects given to Lua are counted or owned; Lua frees each once.
#include "lua/bridge.h"

#include "core/identity.h"
#include "io/hello.h"
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

// ---- a client's handshake ----

int32_t mg_hello_clear_cert(void)
{
    hello_t *h = current_hello();
    if (!h)
        return MG_NO_REQUEST;
    hello_clear_cert(h->sock);
    return MG_OK;
}

int32_t mg_hello_chain(struct stack_st_X509 *chain, mg_str_t *why)
{
    hello_t *h = current_hello();
    const char *reason = "";
    if (!h)
        return MG_NO_REQUEST;
    if (hello_use_chain(h->sock, chain, &reason) == 0)
        return MG_OK;
    say(why, reason);
    return MG_FAILED;
}

int32_t mg_hello_key(struct evp_pkey_st *key, mg_str_t *why)
{
    hello_t *h = current_hello();
    const char *reason = "";
    if (!h)
        return MG_NO_REQUEST;
    if (hello_use_key(h->sock, key, &reason) == 0)
        return MG_OK;
    say(why, reason);
    return MG_FAILED;
}

int32_t mg_hello_ask_client(const struct stack_st_X509 *authorities, int32_t trust,
                            int32_t depth)
{
    hello_t *h = current_hello();
    if (!h)
        return MG_NO_REQUEST;
    hello_ask_client(h->sock, authorities, trust != 0, depth);
    return MG_OK;
}

int32_t mg_hello_no_resumption(void)
{
    hello_t *h = current_hello();
    if (!h)
        return MG_NO_REQUEST;
    hello_no_resumption(h->sock);
    return MG_OK;
}
