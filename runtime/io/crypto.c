// Thin over OpenSSL's EVP: fetched algorithms are its to cache.
#include "io/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

static const EVP_MD *digest_of(const char *name)
{
    static const struct {
        const char *name;
        const EVP_MD *(*md)(void);
    } KNOWN[] = {
        {"md5", EVP_md5},       {"sha1", EVP_sha1},     {"sha224", EVP_sha224},
        {"sha256", EVP_sha256}, {"sha384", EVP_sha384}, {"sha512", EVP_sha512},
    };
    for (size_t i = 0; i < sizeof KNOWN / sizeof *KNOWN; i++)
        if (strcmp(KNOWN[i].name, name) == 0)
            return KNOWN[i].md();
    return NULL;
}

size_t crypto_digest(const char *name, str_t text, unsigned char out[DIGEST_MAX])
{
    const EVP_MD *md = digest_of(name);
    unsigned n = 0;
    if (!md || EVP_Digest(text.p ? text.p : "", text.n, out, &n, md, NULL) != 1)
        return 0;
    return n;
}

size_t crypto_hmac(const char *name, str_t key, str_t text, unsigned char out[DIGEST_MAX])
{
    const EVP_MD *md = digest_of(name);
    unsigned n = 0;
    if (!md || key.n > INT32_MAX)
        return 0;
    const unsigned char *p = (const unsigned char *)(text.p ? text.p : "");
    return HMAC(md, key.p ? key.p : "", (int)key.n, p, text.n, out, &n) ? n : 0;
}

int crypto_random(void *out, size_t n)
{
    return n <= INT32_MAX && RAND_bytes(out, (int)n) == 1 ? 0 : -1;
}

bool crypto_equal(str_t a, str_t b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

const char *crypto_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}
