// Checks signatures that others made with a private key: RSA (PKCS #1 and PSS), ECDSA, EdDSA, as JSON Web Signatures use
// them. Not MACs (io/crypto.h), not TLS. Invariant: a key is only ever used with algorithms of its own kind and curve.
#pragma once

#include "base/str.h"

typedef struct public_key public_key_t;

// From PEM ("PUBLIC KEY" or "RSA PUBLIC KEY"). Returned owned (public_key_destroy), or NULL when the text holds none.
public_key_t *public_key_create(str_t pem);
void public_key_destroy(public_key_t *key);

// Was the text signed by the key's owner? algorithm: "RS256" "RS384" "RS512" "PS256" "PS384" "PS512" "ES256" "ES384"
// "ES512" "EdDSA" (RFC 7518, 8037); an ECDSA signature is r and s, each as long as the curve.
// 1: yes. 0: no. -1: no such algorithm, or the key is not one for it. Pure: any thread, one at a time for each key.
int signature_verify(const char *algorithm, const public_key_t *key, str_t text,
                     str_t signature);

enum { SIGNATURE_ED25519_BYTES = 64 };
// Signs a text with an Ed25519 private key (PEM). 0, or -1: the PEM holds no such key. Checked by signature_verify "EdDSA".
int signature_make_ed25519(str_t private_pem, str_t text,
                           unsigned char out[SIGNATURE_ED25519_BYTES]);
