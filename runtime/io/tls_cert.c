// Certificates: PEM texts in, and a self-signed pair out.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "io/addr.h"
#include "io/tls_cert.h"
#include "io/tls_impl.h"

struct tls_cert {
    atomic_uint refs;
    X509 *leaf;
    STACK_OF(X509) * chain; // without the leaf
    EVP_PKEY *key;
};

int tls_why(const char **why, const char *what)
{
    static _Thread_local char text[256];
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(text, sizeof text, reason ? "%s: %s" : "%s", what, reason);
    ERR_clear_error();
    *why = text;
    return ERR_INVALID;
}

// A key with a pass phrase is refused; OpenSSL's default would ask the terminal.
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

BIO *tls_bio_of(str_t pem)
{
    ASSERT(pem.n < 1 << 30, "a PEM text is not a gigabyte");
    BIO *b = BIO_new_mem_buf(pem.p ? pem.p : "", (int)pem.n);
    ASSERT(b, "memory for a BIO");
    return b;
}

STACK_OF(X509) * tls_read_certs(str_t pem)
{
    BIO *b = tls_bio_of(pem);
    STACK_OF(X509) *all = sk_X509_new_null();
    X509 *x;
    while ((x = PEM_read_bio_X509_AUX(b, NULL, no_passphrase, NULL)))
        sk_X509_push(all, x);
    BIO_free(b);
    unsigned long code = ERR_peek_last_error();
    bool at_end =
        ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (at_end && sk_X509_num(all) > 0) {
        ERR_clear_error();
        return all;
    }
    sk_X509_pop_free(all, X509_free);
    return NULL;
}

// One certificate in DER, as libraries that speak ASN.1 hand it over.
static STACK_OF(X509) * read_der(str_t der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    X509 *x = der.n ? d2i_X509(NULL, &p, (long)der.n) : NULL;
    if (!x)
        return NULL;
    STACK_OF(X509) *all = sk_X509_new_null();
    sk_X509_push(all, x);
    return all;
}

static bool is_der(str_t text)
{
    return text.n > 0 && text.p[0] == 0x30 &&
           str_find(text, STR("-----BEGIN ")) < 0; // SEQUENCE
}

int tls_chain_parse(str_t text, tls_chain_t **out, const char **why)
{
    ERR_clear_error();
    tls_chain_t *all = is_der(text) ? read_der(text) : tls_read_certs(text);
    if (!all)
        return tls_why(why, is_der(text) ? "certificate is not valid DER"
                                         : "certificate is not valid PEM");
    *out = all;
    return 0;
}

void tls_chain_free(tls_chain_t *c)
{
    sk_X509_pop_free(c, X509_free);
}

int tls_key_parse(str_t text, tls_key_t **out, const char **why)
{
    ERR_clear_error();
    BIO *b = tls_bio_of(text);
    EVP_PKEY *key = is_der(text) ? d2i_PrivateKey_bio(b, NULL)
                                 : PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL);
    BIO_free(b);
    if (!key)
        return tls_why(why, is_der(text)
                                ? "private key is not valid DER"
                                : "private key is not valid PEM without a pass phrase");
    *out = key;
    return 0;
}

void tls_key_free(tls_key_t *k)
{
    EVP_PKEY_free(k);
}

static void cert_free(tls_cert_t *c)
{
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
    free(c);
}

// What a handshake would do with it, now: a weak or mismatched pair shows here and not to
// clients.
static bool usable(const tls_cert_t *c)
{
    SSL_CTX *trial = SSL_CTX_new(TLS_method());
    ASSERT(trial, "memory for a TLS context");
    bool ok = SSL_CTX_use_cert_and_key(trial, c->leaf, c->key, c->chain, 1) == 1;
    SSL_CTX_free(trial);
    return ok;
}

int tls_cert_join(tls_chain_t *chain, tls_key_t *key, tls_cert_t **out, const char **why)
{
    const char *what = NULL;
    ASSERT(sk_X509_num(chain) > 0, "a chain has a leaf");
    tls_cert_t *c = mem_zalloc(sizeof *c);
    ERR_clear_error();
    c->chain = X509_chain_up_ref(chain);
    ASSERT(c->chain, "memory for a chain");
    c->leaf = sk_X509_shift(c->chain);
    EVP_PKEY_up_ref(key);
    c->key = key;
    if (X509_check_private_key(c->leaf, c->key) != 1)
        what = "private key does not belong to the certificate";
    else if (!usable(c))
        what = "certificate cannot be used";
    if (what) {
        cert_free(c);
        return tls_why(why, what);
    }
    atomic_init(&c->refs, 1);
    *out = c;
    return 0;
}

int tls_cert_create(str_t cert_pem, str_t key_pem, tls_cert_t **out, const char **why)
{
    tls_chain_t *chain = NULL;
    tls_key_t *key = NULL;
    int rc = tls_chain_parse(cert_pem, &chain, why);
    if (rc == 0)
        rc = tls_key_parse(key_pem, &key, why);
    if (rc == 0)
        rc = tls_cert_join(chain, key, out, why);
    tls_chain_free(chain);
    tls_key_free(key);
    return rc;
}

bool tls_cert_same(const tls_cert_t *a, const tls_cert_t *b)
{
    if (a == b)
        return true;
    if (!a || !b || sk_X509_num(a->chain) != sk_X509_num(b->chain) ||
        X509_cmp(a->leaf, b->leaf) != 0) // the same leaf has the same key
        return false;
    for (int i = 0; i < sk_X509_num(a->chain); i++) {
        if (X509_cmp(sk_X509_value(a->chain, i), sk_X509_value(b->chain, i)) != 0)
            return false;
    }
    return true;
}

tls_cert_t *tls_cert_acquire(tls_cert_t *c)
{
    unsigned before = atomic_fetch_add(&c->refs, 1);
    ASSERT(before > 0, "a certificate in use is acquired");
    return c;
}

void tls_cert_release(tls_cert_t *c)
{
    if (!c)
        return;
    unsigned before = atomic_fetch_sub(&c->refs, 1);
    ASSERT(before > 0, "a certificate is released as often as acquired");
    if (before == 1)
        cert_free(c);
}

bool tls_cert_use(const tls_cert_t *c, SSL *ssl)
{
    return SSL_use_cert_and_key(ssl, c->leaf, c->key, c->chain, 1) == 1;
}

bool tls_cert_use_ctx(const tls_cert_t *c, SSL_CTX *ctx)
{
    return SSL_CTX_use_cert_and_key(ctx, c->leaf, c->key, c->chain, 1) == 1;
}

// ---- trust anchors ----

static int fill_store(X509_STORE *store, str_t ca_pem, const char **why)
{
    if (ca_pem.n == 0)
        return X509_STORE_set_default_paths(store) == 1
                   ? 0
                   : tls_why(why, "the system's certificate store cannot be read");
    STACK_OF(X509) *all = tls_read_certs(ca_pem);
    if (!all)
        return tls_why(why, "CA certificate is not valid PEM");
    for (int i = 0; i < sk_X509_num(all); i++)
        X509_STORE_add_cert(store, sk_X509_value(all, i)); // one given twice is in it once
    sk_X509_pop_free(all, X509_free);
    return 0;
}

int tls_store_create(str_t ca_pem, tls_store_t **out, const char **why)
{
    X509_STORE *store = X509_STORE_new();
    ASSERT(store, "memory for a store");
    ERR_clear_error();
    int rc = fill_store(store, ca_pem, why);
    ERR_clear_error();
    if (rc == 0)
        *out = store;
    else
        X509_STORE_free(store);
    return rc;
}

tls_store_t *tls_store_acquire(tls_store_t *s)
{
    int rc = X509_STORE_up_ref(s);
    ASSERT(rc == 1, "a store in use is acquired");
    return s;
}

void tls_store_release(tls_store_t *s)
{
    X509_STORE_free(s);
}

int tls_store_count(const tls_store_t *s)
{
    return sk_X509_OBJECT_num(X509_STORE_get0_objects(s));
}

// ---- self-signed ----

static bool add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

// Letters, digits, and ".-:*" only: the name goes into OpenSSL's configuration language.
static bool plain_name(str_t name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = ascii_lower(name.p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr(".-:*", c)) || c == 0)
            return false;
    }
    return name.n > 0 && name.n < 64;
}

static bool fill(X509 *x, EVP_PKEY *key, str_t name)
{
    char san[80];
    addr_t ip;
    unsigned char serial[8] = {0};
    snprintf(san, sizeof san, "%s:%.*s", addr_from_ip(name, 0, &ip) == 0 ? "IP" : "DNS",
             STR_FMT(name));
    X509_NAME *subject = X509_get_subject_name(x);
    if (RAND_bytes(serial, sizeof serial) != 1)
        return false;
    uint64_t number;
    memcpy(&number, serial, sizeof number);
    return X509_set_version(x, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), number >> 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
           X509_time_adj_ex(X509_getm_notAfter(x), 3650, 0, NULL) &&
           X509_set_pubkey(x, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                      (const unsigned char *)name.p, (int)name.n, -1, 0) == 1 &&
           X509_set_issuer_name(x, subject) == 1 &&
           add_extension(x, NID_subject_alt_name, san) &&
           add_extension(x, NID_basic_constraints, "critical,CA:TRUE") &&
           X509_sign(x, key, EVP_sha256()) > 0;
}

static char *text_of(BIO *b)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);
    char *copy = mem_alloc((size_t)n + 1);
    memcpy(copy, p, (size_t)n);
    copy[n] = 0;
    return copy;
}

int tls_self_signed(str_t name, char **cert_pem, char **key_pem)
{
    if (!plain_name(name))
        return ERR_INVALID;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
    bool ok = key && x && c && k && fill(x, key, name) && PEM_write_bio_X509(c, x) == 1 &&
              PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (ok) {
        *cert_pem = text_of(c);
        *key_pem = text_of(k);
    }
    BIO_free(c);
    BIO_free(k);
    X509_free(x);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok ? 0 : ERR_INVALID;
}
