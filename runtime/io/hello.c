// Held handshakes: OpenSSL's settings of one connection, and what a client has shown. When a handshake is held is tls_pump.c's to say.
#include "io/hello.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "io/tls_cert.h"

static SSL *ssl_of(const sock_t *s)
{
    SSL *ssl = sock_tls_handle(s);
    ASSERT(ssl, "a TLS connection has its SSL");
    return ssl;
}

void hello_clear_cert(sock_t *s)
{
    SSL_certs_clear(ssl_of(s));
}

int hello_use_chain(sock_t *s, tls_chain_t *chain, const char **why)
{
    SSL *ssl = ssl_of(s);
    ERR_clear_error();
    ASSERT(sk_X509_num(chain) > 0, "a chain has a leaf");
    STACK_OF(X509) *rest = X509_chain_up_ref(chain);
    ASSERT(rest, "memory for a chain");
    X509 *leaf = sk_X509_shift(rest);
    bool ok = SSL_use_certificate(ssl, leaf) == 1 && SSL_set1_chain(ssl, rest) == 1;
    X509_free(leaf);
    sk_X509_pop_free(rest, X509_free);
    return ok ? 0 : tls_why(why, "certificate cannot be used");
}

int hello_use_key(sock_t *s, tls_key_t *key, const char **why)
{
    ERR_clear_error();
    if (SSL_use_PrivateKey(ssl_of(s), key) == 1)
        return 0;
    return tls_why(why, "private key cannot be used");
}

// The result is kept, and judged by who asked.
static int accept_any(int ok, X509_STORE_CTX *ctx)
{
    (void)ok;
    (void)ctx;
    return 1;
}

static void name_authorities(SSL *ssl, const tls_chain_t *authorities)
{
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    ASSERT(names, "memory for names");
    for (int i = 0; i < sk_X509_num(authorities); i++) {
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(sk_X509_value(authorities, i)));
        ASSERT(name, "memory for a name");
        sk_X509_NAME_push(names, name);
    }
    SSL_set0_CA_list(ssl, names);
}

static void trust(SSL *ssl, const tls_chain_t *authorities, int depth)
{
    X509_STORE *store = X509_STORE_new();
    ASSERT(store, "memory for a store");
    for (int i = 0; i < sk_X509_num(authorities); i++)
        X509_STORE_add_cert(store, sk_X509_value(authorities, i));
    SSL_set0_verify_cert_store(ssl, store);
    SSL_set_verify_depth(ssl, depth);
}

void hello_ask_client(sock_t *s, const tls_chain_t *authorities, bool trusted, int depth)
{
    SSL *ssl = ssl_of(s);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, accept_any);
    if (authorities)
        name_authorities(ssl, authorities);
    if (authorities && trusted)
        trust(ssl, authorities, depth);
    ERR_clear_error();
}

void hello_no_resumption(sock_t *s)
{
    SSL *ssl = ssl_of(s);
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    SSL_set_num_tickets(ssl, 0);
}

// ---- after the handshake ----

char *sock_client_chain(const sock_t *s)
{
    SSL *ssl = sock_tls_handle(s);
    X509 *leaf = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
    if (!leaf)
        return NULL;
    const STACK_OF(X509) *rest = SSL_get_peer_cert_chain(ssl); // of a client: without the leaf
    BIO *b = BIO_new(BIO_s_mem());
    ASSERT(b, "memory for a BIO");
    PEM_write_bio_X509(b, leaf);
    for (int i = 0; i < sk_X509_num(rest); i++)
        PEM_write_bio_X509(b, sk_X509_value(rest, i));
    char *p;
    long n = BIO_get_mem_data(b, &p);
    char *text = mem_alloc((size_t)n + 1);
    memcpy(text, p, (size_t)n);
    text[n] = '\0';
    BIO_free(b);
    return text;
}

const char *sock_client_verdict(const sock_t *s)
{
    static _Thread_local char text[160];
    SSL *ssl = sock_tls_handle(s);
    if (!ssl || !SSL_get0_peer_certificate(ssl))
        return "NONE";
    long verdict = SSL_get_verify_result(ssl);
    if (verdict == X509_V_OK)
        return "SUCCESS";
    snprintf(text, sizeof text, "FAILED:%s", X509_verify_cert_error_string(verdict));
    return text;
}
