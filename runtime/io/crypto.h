// Digests, MACs and randomness from OpenSSL, on whole buffers. Not TLS (io/tls.h). Pure functions, any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { DIGEST_MAX = 64 };

// name: "md5", "sha1", "sha224", "sha256", "sha384", "sha512". Writes the digest; its length, or 0 for an unknown name.
size_t crypto_digest(const char *name, str_t text, unsigned char out[DIGEST_MAX]);
size_t crypto_hmac(const char *name, str_t key, str_t text, unsigned char out[DIGEST_MAX]);

// Cryptographically strong bytes. 0, or -1 when the system has none.
int crypto_random(void *out, size_t n);

// Equal, in a time that depends on the lengths only.
bool crypto_equal(str_t a, str_t b);

// The library that does all this, for people.
const char *crypto_version(void);
