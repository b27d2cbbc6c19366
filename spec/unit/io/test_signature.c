// Signatures: one of each kind made with the openssl program, and what must not pass for one.
#include "test.h"

#include "io/signature.h"

static const char RSA[] = "-----BEGIN PUBLIC KEY-----\n"
                          "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsK+RJBHE47Rcn5Px8AvG\n"
                          "n7KrbWYnCtcmKK2iD1A/YAalusC2o1I+xmQ8w89YAOIm2mmH7KDYEzVgyfoV4jZf\n"
                          "YWzjS1IUVlOzFYj99auDKuoBCgmRLQ6dL1Xs/pTCy92l/S8CMfsZiIxX8Q6MfCCs\n"
                          "f3BF8u7BWN5NB2CM1yOHSrHsJ44IlgWOH02j8jD3D8t/Sp62REsuYLKgj+KnaUlB\n"
                          "Io0ZzPcqx5cCLet0xoIRTGTvwl+tkrKeexVg8audd87NB5lVnorIeXvLsV8vdj06\n"
                          "6J8VIaeE/f5/0jLfOJLJhP4UEs26Ela/xsB17enNcQg+Q8Nk3ahtGgipwI9F+u2J\n"
                          "KwIDAQAB\n"
                          "-----END PUBLIC KEY-----\n";
static const char RSA_PKCS1[] =
    "-----BEGIN RSA PUBLIC KEY-----\n"
    "MIIBCgKCAQEAsK+RJBHE47Rcn5Px8AvGn7KrbWYnCtcmKK2iD1A/YAalusC2o1I+\n"
    "xmQ8w89YAOIm2mmH7KDYEzVgyfoV4jZfYWzjS1IUVlOzFYj99auDKuoBCgmRLQ6d\n"
    "L1Xs/pTCy92l/S8CMfsZiIxX8Q6MfCCsf3BF8u7BWN5NB2CM1yOHSrHsJ44IlgWO\n"
    "H02j8jD3D8t/Sp62REsuYLKgj+KnaUlBIo0ZzPcqx5cCLet0xoIRTGTvwl+tkrKe\n"
    "exVg8audd87NB5lVnorIeXvLsV8vdj066J8VIaeE/f5/0jLfOJLJhP4UEs26Ela/\n"
    "xsB17enNcQg+Q8Nk3ahtGgipwI9F+u2JKwIDAQAB\n"
    "-----END RSA PUBLIC KEY-----\n";
static const char P256[] = "-----BEGIN PUBLIC KEY-----\n"
                           "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5MBpwuiJu4J3JXvGFJ+sbn3aOY4Q\n"
                           "tTvvTAh2CR+qilMvZIv4ppfb33ejatNW4gsfLLYIJ6ZrpAJMmcWEKXggdA==\n"
                           "-----END PUBLIC KEY-----\n";
static const char P384[] = "-----BEGIN PUBLIC KEY-----\n"
                           "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAELD1y6Pj3g2IH9F1cFV1+NQXzDAf6qMLi\n"
                           "fjKuaJLqUtTmC4v9IiECwTVAi2EWRmbs54IL3YYecuMFjSwP6c9C3We5rdBBDCsW\n"
                           "BruiZTg54Q6c9yOlCuzYjPtF5QGO1b5V\n"
                           "-----END PUBLIC KEY-----\n";
static const char P521[] = "-----BEGIN PUBLIC KEY-----\n"
                           "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBPEgkYmWxMIRAJ1hSY8UgqGOmcNeI\n"
                           "f8TlRaIS0q/SQz8kFAwXl/CYPjBlu/a0CbJ3QUNIupAjo1AD9VsZ806AZ54B9+ES\n"
                           "ILZlEI+VcybIW2aCs1TfcpFszSx3xA+SBaxSZTBazROzjWWAwn2xFACZCumn4xs1\n"
                           "iApJPL3+Lpq/HL6fTgk=\n"
                           "-----END PUBLIC KEY-----\n";
static const char K1[] = "-----BEGIN PUBLIC KEY-----\n"
                         "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEvYmzy/SAXRSNeGJznhdX8/QNn2X7zHQy\n"
                         "4LGsPsFSC7kV/uPXuW1LyFsuTp+8m4jtHjgRVcAVZBVy19VoOELXTw==\n"
                         "-----END PUBLIC KEY-----\n";
static const char ED[] = "-----BEGIN PUBLIC KEY-----\n"
                         "MCowBQYDK2VwAyEAtFli5b34H8pRY6nhHq3ehBRB7VC+R8OY9wxfGToy1sg=\n"
                         "-----END PUBLIC KEY-----\n";

typedef struct vector {
    const char *algorithm, *pem, *text, *hex;
} vector_t;

static const vector_t VECTORS[] = {
    {"RS256", RSA,
     "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJSUzI1NiIsImV4cCI6NDEwMjQ0NDgwMH0",
     "a1adc01fe488d58df2b7d083f274983ebe7416b691e4396ad83e3008762aaafe456adb3aff6c952af031"
     "f7819040ff387f4279b13cba3a817ec9997208876bfc9613ef06a79d2f7db133f7a305e7d8a0096ec749"
     "27af2f53dd3d81efb7406df9fd58756efc7c97d9f6baa7420099900b48902845bb443175a72fe20340b8"
     "ccb62458dee85754f3beba4e8886d08f40c957e4eeaac474f337a0382087a46fa0ccce7bc624aafa98aa"
     "18f4f10bb2e764c2b43cda22fb43d71d2949a95a7e57ef0675a1302b5ef54db3e8287af199e35d36acdc"
     "c761f3b1cc0dc5d3a92ffb0c4e493f2ef7f6b2d9ae01b7e8b69d0212e088a9cb7bbd3f5c64728dc2ef9a"
     "803a5ff7"},
    {"RS512", RSA,
     "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJSUzUxMiIsImV4cCI6NDEwMjQ0NDgwMH0",
     "29bfa01f4a47bc1f95e40c38d7d704b19e18f5bbee8b638845a39ae00efc86b6b01b5093a0632e0ed5dc"
     "bdf425a643b07c8cb557e8a9196cfa2e526c86e48c20e825f375d6f0fd331d89616a229edd06842abc19"
     "caac6f5e6c7dd116b6f8c8d1de6c2f74a0624e7e44c9ad5a671cc9c4b9690bf5e28498bba9570574626a"
     "a1f8189268c371ecae18748196589e31ec55b09ca14d98c87525060b7ecb6d8b78e572bb777df85d816d"
     "0849cd60a79877717fd52531db9a94a3bac6be8b35e443ea9eca0deeeffe627397163a8c55ea77750124"
     "a80744f3fb2cac59b150ae972c170f6ea6287b315bb356de61293b60dada662527fe2dd7785e315af589"
     "e8c5eaac"},
    {"PS256", RSA,
     "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJQUzI1NiIsImV4cCI6NDEwMjQ0NDgwMH0",
     "6e38cbb70484ad42b3b8e5c0e7221b74ca627bca28583598daf4c0d095445fe7a99565299c94da9c94c7"
     "f293b581380bc747b36dcf2f67be01a6343f3863757c79fa6c01fffa41ed216cd5908fbf738dc25ac9d1"
     "9f471ead147402ab8d6ea8708b31f89f073c2daaa16eed2c3c08c24efff3d662e6db0a01c57c33b940c7"
     "bd599d4bdf8dbec70d687ddf24e5ad1902a0eaf746f3c5a5691f268aac56fa05e79b2d8a574659f38cb4"
     "641c12de840834be666ce9f5e20910122b66241cd8c9402410f741f420182723571867401b48dd248166"
     "a3a3bb70b52fa83926191786d58b327b1dca8869db736ebedbe4965e60c9107dcef60e55da7509351023"
     "fe1630d8"},
    {"ES256", P256,
     "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJFUzI1NiIsImV4cCI6NDEwMjQ0NDgwMH0",
     "6dc85566b2fb062e4cdedd9d70a42e1ec324b97d69b44dacb383bd45bba5f783cbc3dd31967f9c6eedaf"
     "d7b904420e1650e6c328addd3b1d5f34fd6c75f044dc"},
    {"ES384", P384,
     "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJFUzM4NCIsImV4cCI6NDEwMjQ0NDgwMH0",
     "fb8ff3b515048bc9f928935c2cad88cd74ce4d7ea2d3979e133a4bee38715f3ab2234fab20a19a3b2804"
     "e577d0d75ee83a3ef1bf66d9c5db71b3b89935af208b99240f2cff38cff412ba18a31c55cad960707ff8"
     "29aedf70578e87fc7767238e"},
    {"ES512", P521,
     "eyJhbGciOiJFUzUxMiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJFUzUxMiIsImV4cCI6NDEwMjQ0NDgwMH0",
     "015f04185da2c91c6981f0de04880a1e1cdebb274c254fe82083086a4413e26840cf437702a8d444594c"
     "03420d0cece7f80b8d68275146bf2c75c5b9fe5cde258c7200d5d4f18bfda23a60a26dfb15ba42f2f781"
     "ced9039d9df7e1fb3c977df15148698434fd82a08efa3d44ceb7776f989432af643c9e15ccfca0e8632a"
     "69260b34fef0"},
    {"EdDSA", ED,
     "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJFZERTQSIsImV4cCI6NDEwMjQ0NDgwMH0",
     "af3247b17c3ffee12498bfcb7b57ada8424205abac2f7a05b30e84543a331fcda0b6d2622b84a23d4942"
     "fd4549c3a5d08f6cb0cbc468344821dd4b3ee6041e01"},
};
enum { N_VECTORS = sizeof VECTORS / sizeof *VECTORS };

static str_t unhex(const char *hex)
{
    static char out[512];
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        out[i] = (char)byte;
    }
    return str_make(out, n);
}

// The verdict, with a key made for the occasion; -2: the PEM is none.
static int verdict(const char *algorithm, const char *pem, const char *text, str_t signature)
{
    public_key_t *key = public_key_create(str_from(pem));
    int code = key ? signature_verify(algorithm, key, str_from(text), signature) : -2;
    public_key_destroy(key);
    return code;
}

TEST(accepts_signatures_of_every_kind)
{
    for (int i = 0; i < N_VECTORS; i++) {
        const vector_t *v = &VECTORS[i];
        if (!CHECK_EQ_INT(verdict(v->algorithm, v->pem, v->text, unhex(v->hex)), 1))
            TEST_NOTE("%s", v->algorithm);
    }
    CHECK_EQ_INT(verdict("RS256", RSA_PKCS1, VECTORS[0].text, unhex(VECTORS[0].hex)), 1);
}

TEST(refuses_other_texts)
{
    for (int i = 0; i < N_VECTORS; i++) {
        const vector_t *v = &VECTORS[i];
        CHECK_EQ_INT(verdict(v->algorithm, v->pem, "", unhex(v->hex)), 0);
        CHECK_EQ_INT(verdict(v->algorithm, v->pem, v->text + 1, unhex(v->hex)), 0);
    }
}

TEST(refuses_signatures_cut_at_every_byte)
{
    for (int i = 0; i < N_VECTORS; i++) {
        const vector_t *v = &VECTORS[i];
        str_t whole = unhex(v->hex);
        for (size_t n = 0; n < whole.n; n++)
            if (!CHECK_EQ_INT(verdict(v->algorithm, v->pem, v->text, str_make(whole.p, n)), 0))
                TEST_NOTE("%s cut at %zu", v->algorithm, n);
    }
}

TEST(refuses_a_changed_byte_and_zeros)
{
    for (int i = 0; i < N_VECTORS; i++) {
        const vector_t *v = &VECTORS[i];
        str_t s = unhex(v->hex);
        ((char *)s.p)[s.n / 2] ^= 1;
        CHECK_EQ_INT(verdict(v->algorithm, v->pem, v->text, s), 0);
        memset((char *)s.p, 0, s.n);
        CHECK_EQ_INT(verdict(v->algorithm, v->pem, v->text, s), 0);
    }
}

// No key can be made to serve another kind of algorithm, or another curve.
TEST(keeps_keys_to_their_algorithms)
{
    static const char *const KINDS[] = {"RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"};
    static const struct {
        const char *pem, *fits;
    } KEYS[] = {{RSA, "RS256 PS384"}, {P256, "ES256"}, {P384, "ES384"},
                {P521, "ES512"},      {ED, "EdDSA"},   {K1, ""}};
    char zeros[256] = {0};
    for (size_t k = 0; k < sizeof KEYS / sizeof *KEYS; k++) {
        for (size_t a = 0; a < sizeof KINDS / sizeof *KINDS; a++) {
            int want = strstr(KEYS[k].fits, KINDS[a]) ? 0 : -1;
            int got = verdict(KINDS[a], KEYS[k].pem, "x", str_make(zeros, sizeof zeros));
            if (!CHECK_EQ_INT(got, want))
                TEST_NOTE("key %zu with %s", k, KINDS[a]);
        }
    }
    CHECK_EQ_INT(verdict("HS256", RSA, "x", STR("x")), -1);
    CHECK_EQ_INT(verdict("none", RSA, "x", STR("")), -1);
}

TEST(refuses_what_is_no_key)
{
    static const char *const BAD[] = {
        "", "x", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        CHECK(public_key_create(str_from(BAD[i])) == NULL);
    for (size_t n = 0; n + 30 < sizeof RSA; n++) {
        public_key_t *key = public_key_create(str_make(RSA, n));
        CHECK(key == NULL);
        public_key_destroy(key);
    }
}
