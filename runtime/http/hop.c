// Hop-by-hop fields (RFC 9110 7.6.1): what belongs to one connection, and what a peer may not
// nominate away.
#include "http/head.h"

bool hdr_is_hop_by_hop(hdr_id_t id)
{
    return id == HDR_CONNECTION || id == HDR_KEEP_ALIVE || id == HDR_PROXY_CONNECTION ||
           id == HDR_PROXY_AUTHENTICATE || id == HDR_PROXY_AUTHORIZATION || id == HDR_TE ||
           id == HDR_TRAILER || id == HDR_TRANSFER_ENCODING || id == HDR_UPGRADE;
}

static bool starts_without_case(str_t name, str_t prefix)
{
    return name.n >= prefix.n && str_ieq(str_make(name.p, prefix.n), prefix);
}

// A nomination of these would turn another request's meaning, identity or address round
// (CVE-2022-1388 and its kin).
static bool is_protected(hdr_id_t id, str_t name)
{
    if (id == HDR_HOST || id == HDR_AUTHORIZATION || id == HDR_COOKIE ||
        id == HDR_CACHE_CONTROL || id == HDR_APIKEY || id == HDR_FORWARDED ||
        id == HDR_X_REAL_IP)
        return true;
    return starts_without_case(name, STR("Content-")) ||
           starts_without_case(name, STR("X-Forwarded-")) ||
           starts_without_case(name, STR("X-Consumer-"));
}

static void strip_nominated(headers_t *h, str_t value)
{
    for (str_t name; str_list_next(&value, &name);) {
        hdr_id_t id = hdr_lookup(name);
        if (!hdr_is_hop_by_hop(id) && !is_protected(id, name))
            headers_remove(h, id, name);
    }
}

void headers_strip_hop_by_hop(headers_t *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        if (h->v[i].id == HDR_CONNECTION && !h->v[i].removed)
            strip_nominated(h, h->v[i].value);
    }
    for (uint32_t i = 0; i < h->n; i++) {
        if (hdr_is_hop_by_hop((hdr_id_t)h->v[i].id))
            h->v[i].removed = true;
    }
}
