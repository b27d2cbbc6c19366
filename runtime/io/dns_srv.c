// Walks the answer section of a reply; names are expanded by c-ares, which checks their
// pointers.
#include "io/dns_srv.h"

#include <ares.h>

#include "base/check.h"
#include "base/err.h"

enum {
    HEADER_BYTES = 12,
    RR_FIXED_BYTES = 10,
    SRV_FIXED_BYTES = 6,
    TYPE_SRV = 33,
    CLASS_IN = 1
};

typedef struct reader {
    const unsigned char *all, *at;
    size_t len;
} reader_t;

static size_t left(const reader_t *r)
{
    return r->len - (size_t)(r->at - r->all);
}

static unsigned get16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static unsigned get32(const unsigned char *p)
{
    return get16(p) << 16 | get16(p + 2);
}

// Expands the name at `at`, of which *used bytes are in place. Returned owned (free), or NULL.
static char *read_name(const reader_t *r, const unsigned char *at, long *used)
{
    char *name, *copy;
    if (ares_expand_name(at, r->all, (int)r->len, &name, used) != ARES_SUCCESS)
        return NULL;
    copy = mem_alloc(strlen(name) + 1);
    strcpy(copy, name);
    ares_free_string(name);
    return copy;
}

static bool skip_name(reader_t *r)
{
    long used;
    if (left(r) == 0)
        return false;
    char *name = read_name(r, r->at, &used);
    free(name);
    if (!name || (size_t)used > left(r))
        return false;
    r->at += used;
    return true;
}

static bool skip_questions(reader_t *r, unsigned count)
{
    for (; count > 0; count--) {
        if (!skip_name(r) || left(r) < 4)
            return false;
        r->at += 4;
    }
    return true;
}

static bool read_srv(const reader_t *r, size_t data_n, dns_record_t *out)
{
    long used;
    if (data_n <= SRV_FIXED_BYTES)
        return false;
    char *target = read_name(r, r->at + SRV_FIXED_BYTES, &used);
    if (!target || (size_t)used > data_n - SRV_FIXED_BYTES) {
        free(target);
        return false;
    }
    *out = (dns_record_t){.target = str_from(target),
                          .priority = (uint16_t)get16(r->at),
                          .weight = (uint16_t)get16(r->at + 2),
                          .port = (uint16_t)get16(r->at + 4)};
    return true;
}

static int by_priority(const void *a, const void *b)
{
    const dns_record_t *x = a, *y = b;
    return (int)x->priority - (int)y->priority;
}

// Reads the answers until `max` are found. False: garbage; what was read until then stays in
// out.
static bool read_answers(reader_t *r, unsigned count, dns_record_t *out, unsigned max,
                         unsigned *n, unsigned *ttl_s)
{
    for (; count > 0 && *n < max; count--) {
        if (!skip_name(r) || left(r) < RR_FIXED_BYTES)
            return false;
        unsigned type = get16(r->at), class = get16(r->at + 2), ttl = get32(r->at + 4);
        size_t data_n = get16(r->at + 8);
        r->at += RR_FIXED_BYTES;
        if (data_n > left(r))
            return false;
        if (type == TYPE_SRV && class == CLASS_IN) {
            if (!read_srv(r, data_n, &out[*n]))
                return false;
            ++*n;
        }
        if (ttl < *ttl_s)
            *ttl_s = ttl; // CNAMEs on the way count too
        r->at += data_n;
    }
    return true;
}

int dns_parse_srv(const unsigned char *reply, size_t len, dns_record_t *out, unsigned max,
                  unsigned *n, unsigned *ttl_s)
{
    reader_t r = {.all = reply, .at = reply + HEADER_BYTES, .len = len};
    unsigned found = 0, ttl = INT32_MAX;
    ASSERT(max > 0, "room for a record");
    if (len < HEADER_BYTES || len > UINT16_MAX)
        return ERR_DNS_FAIL;
    bool ok = skip_questions(&r, get16(reply + 4)) &&
              read_answers(&r, get16(reply + 6), out, max, &found, &ttl);
    if (!ok || found == 0) {
        for (unsigned i = 0; i < found; i++)
            free((char *)out[i].target.p);
        return ok ? ERR_DNS_NAME : ERR_DNS_FAIL;
    }
    qsort(out, found, sizeof *out, by_priority);
    *n = found;
    *ttl_s = ttl;
    return 0;
}
