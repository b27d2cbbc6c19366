// A table that is filled and never emptied: what finds its place taken is checked each time anew. See field_name.h.
#include "core/field_name.h"

#include <string.h>

#include "base/check.h"
#include "base/err.h"

enum { PLACES = 256, KEPT_BYTES = 46 };

typedef struct place {
    uint8_t n; // 0: free
    uint8_t id;
    char text[KEPT_BYTES];
} place_t;

_Static_assert(HDR_COUNT <= UINT8_MAX, "a place holds a number in one byte");

static place_t places[PLACES];

static inline place_t *place_of(str_t name)
{
    uint32_t first, last;
    memcpy(&first, name.p, 4);
    memcpy(&last, name.p + name.n - 4, 4);
    uint32_t mixed = first * 0x9e3779b1u ^ last * 0x85ebca77u ^ (uint32_t)name.n * 0xc2b2ae3du;
    return &places[(mixed ^ mixed >> 15) % PLACES];
}

static bool holds(const place_t *p, str_t name)
{
    return p->n == name.n && memcmp(p->text, name.p, name.n) == 0;
}

static str_t keep(place_t *p, str_t name, hdr_id_t id)
{
    ASSERT(p->n == 0 && name.n <= KEPT_BYTES, "a free place of the name's size");
    memcpy(p->text, name.p, name.n);
    p->n = (uint8_t)name.n;
    p->id = (uint8_t)id;
    return str_make(p->text, name.n);
}

int field_name_take(arena_t *a, str_t given, str_t *name, hdr_id_t *id)
{
    bool keepable = given.n >= 4 && given.n <= KEPT_BYTES;
    place_t *p = keepable ? place_of(given) : NULL;
    if (p && holds(p, given)) {
        *id = (hdr_id_t)p->id;
        *name = str_make(p->text, given.n);
        return 0;
    }
    if (!header_name_valid(given))
        return ERR_INVALID;
    *id = hdr_lookup(given);
    if (p && p->n == 0)
        *name = keep(p, given, *id);
    else
        *name = arena_dup(a, given);
    return 0;
}
