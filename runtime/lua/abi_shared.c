// The FFI functions about the node: clocks, log level, shared dictionaries, counters (abi.h).
#include "lua/bridge.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/shdict.h"
#include "core/stats.h"
#include "lua/native.h"

double mg_now(void)
{
    return (double)(bridge_self()->wall_us / 1000) / 1000.0;
}

double mg_mono(void)
{
    return (double)clock_mono_us() / 1e6;
}

void mg_update_time(void)
{
    bridge_self()->wall_us = clock_wall_us();
}

int32_t mg_log_wants(int32_t level)
{
    return level >= 0 && level <= LOG_DEBUG && log_wants((log_level_t)level);
}

int32_t mg_shd_incr(int32_t dict, const char *key, uint64_t key_n, double by, int32_t has_init,
                    double init, double ttl_s, double *out, int32_t *forcible)
{
    shdict_t *d = native_shdict_of(dict);
    if (!d)
        return MG_INVALID;
    bool forced = false;
    int rc = shdict_incr(d, str_make(key, key_n), by, has_init ? &init : NULL,
                         native_ttl_ms(ttl_s), out, &forced);
    *forcible = forced;
    return rc;
}

int32_t mg_limit_take(int32_t dict, const char *key, uint64_t key_n, double cost,
                      const double *start_s, const double *length_s, const double *limits,
                      double *used, int32_t n, int32_t *full)
{
    enum { WINDOWS_MAX = 8 };
    shdict_t *d = native_shdict_of(dict);
    if (!d || n < 1 || n > WINDOWS_MAX)
        return MG_INVALID;
    limit_window_t w[WINDOWS_MAX];
    for (int32_t i = 0; i < n; i++)
        w[i] = (limit_window_t){.start_ms = (uint64_t)(start_s[i] * 1000),
                                .length_ms = (uint64_t)(length_s[i] * 1000),
                                .limit = limits[i]};
    unsigned first_full = 0;
    bool taken = shdict_limit_take(d, str_make(key, key_n), cost, w, (unsigned)n, &first_full);
    for (int32_t i = 0; i < n; i++)
        used[i] = w[i].used;
    *full = (int32_t)first_full;
    return taken;
}

int32_t mg_stat_add(int32_t handle, double by)
{
    stat_add(handle, by);
    return MG_OK;
}

int32_t mg_stat_set(int32_t handle, double value)
{
    stat_set(handle, value);
    return MG_OK;
}

int32_t mg_stat_observe(int32_t handle, double value)
{
    stat_observe(handle, value);
    return MG_OK;
}
