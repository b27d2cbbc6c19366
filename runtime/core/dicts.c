// Which shared dictionaries there are; what one is, is shdict.c's.
#include "core/dicts.h"

#include "base/err.h"
#include "core/shdict.h"

// The names and sizes that plugins written for Kong expect.
static const struct dict {
    const char *name;
    size_t bytes;
} DICTS[] = {
    {"kong", 5u << 20},
    {"kong_locks", 8u << 20},
    {"kong_healthchecks", 5u << 20},
    {"kong_cluster_events", 5u << 20},
    {"kong_rate_limiting_counters", 12u << 20},
    {"kong_core_db_cache", 128u << 20},
    {"kong_core_db_cache_miss", 12u << 20},
    {"kong_db_cache", 128u << 20},
    {"kong_db_cache_miss", 12u << 20},
    {"kong_secrets", 5u << 20},
    {"prometheus_metrics", 5u << 20},
    {"moongate", 0}, // of a size that is set
};

// The size that the settings give a name, or 0.
static uint64_t asked_bytes(const settings_t *s, str_t name)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < s->n_lua_shared_dicts; i++)
        if (str_eq(s->lua_shared_dicts[i].name, name))
            bytes = s->lua_shared_dicts[i].bytes;
    return bytes;
}

static bool is_usual(str_t name)
{
    for (size_t i = 0; i < sizeof DICTS / sizeof *DICTS; i++)
        if (str_eq(str_from(DICTS[i].name), name))
            return true;
    return false;
}

void dicts_each(const settings_t *s, void (*each)(void *arg, str_t name, uint64_t bytes),
                void *arg)
{
    for (size_t i = 0; i < sizeof DICTS / sizeof *DICTS; i++) {
        str_t name = str_from(DICTS[i].name);
        uint64_t asked = asked_bytes(s, name);
        uint64_t usual = DICTS[i].bytes ? DICTS[i].bytes : s->shared_dict_bytes;
        each(arg, name, asked ? asked : usual);
    }
    for (uint32_t i = 0; i < s->n_lua_shared_dicts; i++) {
        const dict_setting_t *d = &s->lua_shared_dicts[i];
        if (!is_usual(d->name))
            each(arg, d->name, d->bytes);
    }
}

static void create_dict(void *arg, str_t name, uint64_t bytes)
{
    int *rc = arg;
    if (*rc == 0 && !shdict_create(name, bytes))
        *rc = ERR_NOMEM;
}

int dicts_create(const settings_t *s)
{
    int rc = 0;
    dicts_each(s, create_dict, &rc);
    return rc;
}
