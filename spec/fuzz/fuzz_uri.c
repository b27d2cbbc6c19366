// Paths, queries, URLs. Oracles: normalise(normalise(p)) == normalise(p), and a normal path
// holds nothing that a decoder behind us could turn into another path; a URL built from its
// parts parses to the same parts.
#include "http/uri.h"

#include "base/buf.h"
#include "base/check.h"
#include "http/bytes.h"

static void check_normal(str_t path)
{
    ASSERT(path.p[0] == '/' && str_find(path, STR("//")) < 0, "slashes were not merged");
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] != '%') {
            ASSERT(byte_is(path.p[i], B_PATH), "a byte that may not stand in a path");
            continue;
        }
        ASSERT(i + 2 < path.n, "a triplet is cut");
        int byte = hex_digit(path.p[i + 1]) << 4 | hex_digit(path.p[i + 2]);
        ASSERT(byte > 0 && byte != '/' && byte != '\\', "a triplet that hides a separator");
        ASSERT(!byte_is((char)byte, B_UNRESERVED), "a triplet of an unreserved byte");
        i += 2;
    }
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] != '/')
            continue;
        str_t segment = str_from_at(path, i + 1);
        size_t n = 0;
        while (n < segment.n && segment.p[n] != '/' && segment.p[n] != ';')
            n++;
        segment.n = n;
        ASSERT(!str_eq(segment, STR(".")) && !str_eq(segment, STR("..")),
               "a dot segment is left");
    }
}

static void check_path(str_t raw)
{
    arena_t a = {0};
    str_t once, twice;
    const char *why = NULL;
    if (uri_normalize_path(&a, raw, &once, &why) == 0 && !str_eq(once, STR("*"))) {
        ASSERT(once.n <= raw.n, "a normal path is never longer");
        check_normal(once);
        ASSERT(uri_normalize_path(&a, once, &twice, &why) == 0, "a normal path was refused");
        ASSERT(twice.p == once.p && twice.n == once.n, "normalising again changed the path");
    }
    arena_dispose(&a);
}

static void check_unescape(str_t text)
{
    char *out = malloc(text.n + 1), *same = malloc(text.n + 1);
    memcpy(same, text.p, text.n);
    size_t n = uri_unescape(out, text), m = uri_unescape(same, str_make(same, text.n));
    ASSERT(n == m && n <= text.n && memcmp(out, same, n) == 0, "unescaping in place differs");
    free(out);
    free(same);
}

static void check_query(str_t query)
{
    str_t rest = query, name, value, found;
    bool bare, found_bare;
    size_t pairs = 0;
    while (query_next(&rest, &name, &value, &bare)) {
        ASSERT(value.p >= query.p && value.p + value.n <= query.p + query.n,
               "a value outside of the query");
        ASSERT(!bare || value.n == 0, "a bare name with a value");
        char *plain = malloc(name.n + 1);
        memcpy(plain, name.p, name.n);
        for (size_t i = 0; i < name.n; i++)
            plain[i] = plain[i] == '+' ? ' ' : plain[i];
        size_t n = uri_unescape(plain, str_make(plain, name.n));
        ASSERT(query_get(query, str_make(plain, n), &found, &found_bare),
               "a name that is there was not found");
        free(plain);
        if (++pairs == 64)
            break; // quadratic in the pairs
    }
}

static void check_url(str_t text)
{
    url_t u, again;
    if (url_parse(text, &u) != 0)
        return;
    buf_t b = {0};
    buf_printf(&b, "%.*s://%.*s:%u%.*s%s%.*s", STR_FMT(u.scheme), STR_FMT(u.host), u.port,
               STR_FMT(u.path), u.query.p ? "?" : "", STR_FMT(u.query));
    ASSERT(url_parse(buf_str(&b), &again) == 0, "a URL built from its parts was refused");
    ASSERT(str_eq(u.host, again.host) && u.port == again.port, "the host changed");
    ASSERT(str_eq(u.path, again.path) && str_eq(u.query, again.query), "the path changed");
    ASSERT(u.port != 0 && u.host.n && str_chr(u.host, '@') < 0, "a host that is none");
    buf_dispose(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    str_t text = str_make((const char *)data, size);
    check_path(text);
    check_unescape(text);
    check_query(text);
    check_url(text);
    return 0;
}
