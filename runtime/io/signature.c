// Thin over OpenSSL's EVP. What failed inside OpenSSL is cleared from its error queue, which TLS reads.
#include "io/signature.h"

#include <openssl/decoder.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/check.h"

struct public_key {
    EVP_PKEY *pkey;
};

typedef enum scheme { RSA_PKCS1, RSA_PSS, ECDSA, EDDSA } scheme_t;

typedef struct algorithm {
    const char *name;
    scheme_t scheme;
    const EVP_MD *(*digest)(void);
    const char *curve; // ECDSA: the only one
    size_t coordinate; // ECDSA: bytes of r and of s
} algorithm_t;

enum { CURVE_NAME_MAX = 64 };

static const algorithm_t *algorithm_of(const char *name)
{
    static const algorithm_t KNOWN[] = {
        {"RS256", RSA_PKCS1, EVP_sha256, NULL, 0},
        {"RS384", RSA_PKCS1, EVP_sha384, NULL, 0},
        {"RS512", RSA_PKCS1, EVP_sha512, NULL, 0},
        {"PS256", RSA_PSS, EVP_sha256, NULL, 0},
        {"PS384", RSA_PSS, EVP_sha384, NULL, 0},
        {"PS512", RSA_PSS, EVP_sha512, NULL, 0},
        {"ES256", ECDSA, EVP_sha256, "prime256v1", 32},
        {"ES384", ECDSA, EVP_sha384, "secp384r1", 48},
        {"ES512", ECDSA, EVP_sha512, "secp521r1", 66},
        {"EdDSA", EDDSA, NULL, NULL, 0},
    };
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        if (strcmp(KNOWN[i].name, name) == 0)
            return &KNOWN[i];
    return NULL;
}

public_key_t *public_key_create(str_t pem)
{
    const unsigned char *p = (const unsigned char *)pem.p;
    size_t n = pem.n;
    EVP_PKEY *pkey = NULL;
    OSSL_DECODER_CTX *decoder = OSSL_DECODER_CTX_new_for_pkey(&pkey, "PEM", NULL, NULL,
                                                              EVP_PKEY_PUBLIC_KEY, NULL, NULL);
    ASSERT(decoder, "out of memory");
    bool ok = n > 0 && OSSL_DECODER_from_data(decoder, &p, &n) == 1 && pkey;
    OSSL_DECODER_CTX_free(decoder);
    ERR_clear_error();
    if (!ok)
        return NULL;
    public_key_t *key = mem_alloc(sizeof *key);
    key->pkey = pkey;
    return key;
}

void public_key_destroy(public_key_t *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

static bool is_for(const public_key_t *key, const algorithm_t *a)
{
    char curve[CURVE_NAME_MAX];
    switch (a->scheme) {
    case RSA_PKCS1:
        return EVP_PKEY_is_a(key->pkey, "RSA");
    case RSA_PSS:
        return EVP_PKEY_is_a(key->pkey, "RSA") || EVP_PKEY_is_a(key->pkey, "RSA-PSS");
    case ECDSA:
        return EVP_PKEY_is_a(key->pkey, "EC") &&
               EVP_PKEY_get_group_name(key->pkey, curve, sizeof curve, NULL) == 1 &&
               strcmp(curve, a->curve) == 0;
    case EDDSA:
        return EVP_PKEY_is_a(key->pkey, "ED25519") || EVP_PKEY_is_a(key->pkey, "ED448");
    }
    UNREACHABLE("a scheme");
}

// r and s as OpenSSL wants them: DER, in memory of OpenSSL's (OPENSSL_free). Its length, or 0.
static int ecdsa_der(str_t signature, size_t coordinate, unsigned char **out)
{
    if (signature.n != 2 * coordinate)
        return 0;
    const unsigned char *p = (const unsigned char *)signature.p;
    BIGNUM *r = BN_bin2bn(p, (int)coordinate, NULL);
    BIGNUM *s = BN_bin2bn(p + coordinate, (int)coordinate, NULL);
    ECDSA_SIG *pair = ECDSA_SIG_new();
    ASSERT(r && s && pair && ECDSA_SIG_set0(pair, r, s) == 1, "out of memory");
    int n = i2d_ECDSA_SIG(pair, out);
    ECDSA_SIG_free(pair);
    return n > 0 ? n : 0;
}

static bool check_raw(const public_key_t *key, const algorithm_t *a, str_t text,
                      const unsigned char *signature, size_t n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *options = NULL;
    ASSERT(ctx, "out of memory");
    bool ok = EVP_DigestVerifyInit(ctx, &options, a->digest ? a->digest() : NULL, NULL,
                                   key->pkey) == 1;
    if (ok && a->scheme == RSA_PSS)
        ok = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) > 0 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_AUTO) > 0;
    const unsigned char *p = (const unsigned char *)(text.p ? text.p : "");
    ok = ok && EVP_DigestVerify(ctx, signature, n, p, text.n) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return ok;
}

int signature_verify(const char *name, const public_key_t *key, str_t text, str_t signature)
{
    ASSERT(key && key->pkey, "a key is given");
    const algorithm_t *a = algorithm_of(name);
    if (!a || !is_for(key, a))
        return -1;
    if (signature.n == 0)
        return 0;
    if (a->scheme != ECDSA)
        return check_raw(key, a, text, (const unsigned char *)signature.p, signature.n);
    unsigned char *der = NULL;
    int n = ecdsa_der(signature, a->coordinate, &der);
    bool ok = n > 0 && check_raw(key, a, text, der, (size_t)n);
    OPENSSL_free(der);
    return ok;
}

int signature_make_ed25519(str_t private_pem, str_t text,
                           unsigned char out[SIGNATURE_ED25519_BYTES])
{
    const unsigned char *p = (const unsigned char *)private_pem.p;
    size_t n = private_pem.n, made = SIGNATURE_ED25519_BYTES;
    EVP_PKEY *pkey = NULL;
    OSSL_DECODER_CTX *decoder = OSSL_DECODER_CTX_new_for_pkey(&pkey, "PEM", NULL, "ED25519",
                                                              EVP_PKEY_KEYPAIR, NULL, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    ASSERT(decoder && ctx, "out of memory");
    bool ok = n > 0 && OSSL_DECODER_from_data(decoder, &p, &n) == 1 && pkey &&
              EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestSign(ctx, out, &made, (const unsigned char *)text.p, text.n) == 1;
    ASSERT(!ok || made == SIGNATURE_ED25519_BYTES, "an Ed25519 signature has 64 bytes");
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    OSSL_DECODER_CTX_free(decoder);
    ERR_clear_error();
    return ok ? 0 : -1;
}
