// Native functions over io/crypto and io/signature, and base64, hex, CRC-32 for Lua. Binary in, binary out.
#include "lua/bridge.h"

#include <zlib.h>

#include "io/crypto.h"
#include "io/signature.h"

static const char KEY_TYPE[] = "moongate.public_key";

// Room for n bytes of a result: the bridge's; where there is none (the configuration loader) Lua's, left on the stack.
static char *room(lua_State *L, size_t n)
{
    bridge_t *b = bridge_self();
    if (!b)
        return lua_newuserdata(L, n);
    buf_clear(&b->scratch);
    return buf_reserve(&b->scratch, n);
}

static int push_digest(lua_State *L, const char *name)
{
    unsigned char out[DIGEST_MAX];
    size_t n = crypto_digest(name, arg_str(L, 1), out);
    if (n == 0)
        return luaL_error(L, "%s is not available", name);
    lua_pushlstring(L, (const char *)out, n);
    return 1;
}

static int l_md5(lua_State *L)
{
    return push_digest(L, "md5");
}

static int l_sha1(lua_State *L)
{
    return push_digest(L, "sha1");
}

static int l_sha256(lua_State *L)
{
    return push_digest(L, "sha256");
}

static int l_sha384(lua_State *L)
{
    return push_digest(L, "sha384");
}

static int l_sha512(lua_State *L)
{
    return push_digest(L, "sha512");
}

// hmac(name, key, text)
static int l_hmac(lua_State *L)
{
    unsigned char out[DIGEST_MAX];
    size_t n = crypto_hmac(luaL_checkstring(L, 1), arg_str(L, 2), arg_str(L, 3), out);
    luaL_argcheck(L, n > 0, 1, "unknown digest");
    lua_pushlstring(L, (const char *)out, n);
    return 1;
}

static int l_equal(lua_State *L)
{
    lua_pushboolean(L, crypto_equal(arg_str(L, 1), arg_str(L, 2)));
    return 1;
}

static int l_crc32(lua_State *L)
{
    str_t s = arg_str(L, 1);
    lua_pushnumber(L, (lua_Number)crc32_z(0, (const unsigned char *)s.p, s.n));
    return 1;
}

static int l_hex(lua_State *L)
{
    static const char DIGITS[] = "0123456789abcdef";
    str_t s = arg_str(L, 1);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < s.n; i++) {
        luaL_addchar(&b, DIGITS[(unsigned char)s.p[i] >> 4]);
        luaL_addchar(&b, DIGITS[(unsigned char)s.p[i] & 15]);
    }
    luaL_pushresult(&b);
    return 1;
}

static int l_random_bytes(lua_State *L)
{
    lua_Number n = luaL_checknumber(L, 1);
    luaL_argcheck(L, n >= 0 && n <= 1 << 20, 1, "between 0 and 1048576");
    char *p = room(L, (size_t)n + 1);
    if (crypto_random(p, (size_t)n) != 0)
        return push_error(L, "no randomness");
    lua_pushlstring(L, p, (size_t)n);
    return 1;
}

static int l_uuid(lua_State *L)
{
    unsigned char u[16];
    char text[37];
    if (crypto_random(u, sizeof u) != 0)
        return push_error(L, "no randomness");
    u[6] = (unsigned char)((u[6] & 0x0f) | 0x40);
    u[8] = (unsigned char)((u[8] & 0x3f) | 0x80);
    snprintf(text, sizeof text,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
             u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
             u[15]);
    lua_pushstring(L, text);
    return 1;
}

// ---- public keys ----

static int l_key_gc(lua_State *L)
{
    public_key_t **slot = luaL_checkudata(L, 1, KEY_TYPE);
    public_key_destroy(*slot);
    *slot = NULL;
    return 0;
}

// public_key(pem) -> key | nil. Parsing costs more than verifying: keep it.
static int l_public_key(lua_State *L)
{
    str_t pem = arg_str(L, 1);
    public_key_t **slot = lua_newuserdata(L, sizeof *slot);
    *slot = NULL;
    if (luaL_newmetatable(L, KEY_TYPE)) {
        lua_pushcfunction(L, l_key_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    *slot = public_key_create(pem);
    return *slot ? 1 : 0;
}

// verify(algorithm, key, text, signature) -> boolean | nil, why
static int l_verify(lua_State *L)
{
    const char *algorithm = luaL_checkstring(L, 1);
    public_key_t **slot = luaL_checkudata(L, 2, KEY_TYPE);
    luaL_argcheck(L, *slot, 2, "a key that was let go");
    int code = signature_verify(algorithm, *slot, arg_str(L, 3), arg_str(L, 4));
    if (code < 0)
        return push_error(L, "the key is not one for this algorithm");
    lua_pushboolean(L, code);
    return 1;
}

// sign_ed25519(private key in PEM, text) -> 64 bytes | nil, why
static int l_sign_ed25519(lua_State *L)
{
    unsigned char out[SIGNATURE_ED25519_BYTES];
    if (signature_make_ed25519(arg_str(L, 1), arg_str(L, 2), out) != 0)
        return push_error(L, "holds no Ed25519 private key in PEM");
    lua_pushlstring(L, (const char *)out, sizeof out);
    return 1;
}

// ---- base64 ----

static const char STANDARD[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// encode_base64(s[, no_padding[, url]])
static int l_encode_base64(lua_State *L)
{
    str_t s = arg_str(L, 1);
    bool padding = !lua_toboolean(L, 2);
    const char *digits = lua_toboolean(L, 3) ? URL : STANDARD;
    char *p = room(L, (s.n / 3 + 1) * 4), *start = p;
    size_t i = 0;
    for (; i + 2 < s.n; i += 3) {
        uint32_t v = (uint32_t)(unsigned char)s.p[i] << 16 |
                     (uint32_t)(unsigned char)s.p[i + 1] << 8 | (unsigned char)s.p[i + 2];
        *p++ = digits[v >> 18];
        *p++ = digits[v >> 12 & 63];
        *p++ = digits[v >> 6 & 63];
        *p++ = digits[v & 63];
    }
    if (i < s.n) {
        bool two = i + 1 < s.n;
        uint32_t v = (uint32_t)(unsigned char)s.p[i] << 16 |
                     (two ? (uint32_t)(unsigned char)s.p[i + 1] << 8 : 0);
        *p++ = digits[v >> 18];
        *p++ = digits[v >> 12 & 63];
        if (two)
            *p++ = digits[v >> 6 & 63];
        for (int pad = two ? 1 : 2; padding && pad > 0; pad--)
            *p++ = '=';
    }
    lua_pushlstring(L, start, (size_t)(p - start));
    return 1;
}

static int digit_of(unsigned char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

// decode_base64(s[, url]) -> string | nil. Padding may be missing; other bytes are refused.
static int l_decode_base64(lua_State *L)
{
    str_t s = arg_str(L, 1);
    bool url = lua_toboolean(L, 2);
    while (s.n && s.p[s.n - 1] == '=')
        s.n--;
    if (s.n % 4 == 1)
        return 0;
    char *start = room(L, s.n + 1), *p = start;
    uint32_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        int d = digit_of((unsigned char)s.p[i], url);
        if (d < 0)
            return 0;
        v = v << 6 | (uint32_t)d;
        if (i % 4 == 3) {
            *p++ = (char)(v >> 16);
            *p++ = (char)(v >> 8);
            *p++ = (char)v;
        }
    }
    if (s.n % 4 == 2)
        *p++ = (char)(v >> 4);
    if (s.n % 4 == 3) {
        *p++ = (char)(v >> 10);
        *p++ = (char)(v >> 2);
    }
    lua_pushlstring(L, start, (size_t)(p - start));
    return 1;
}

const luaL_Reg native_crypto[] = {
    {"md5", l_md5},
    {"sha1", l_sha1},
    {"sha256", l_sha256},
    {"sha384", l_sha384},
    {"sha512", l_sha512},
    {"hmac", l_hmac},
    {"equal", l_equal},
    {"crc32", l_crc32},
    {"hex", l_hex},
    {"random_bytes", l_random_bytes},
    {"uuid", l_uuid},
    {"encode_base64", l_encode_base64},
    {"decode_base64", l_decode_base64},
    {"public_key", l_public_key},
    {"sign_ed25519", l_sign_ed25519},
    {"verify", l_verify},
    {NULL, NULL},
};
