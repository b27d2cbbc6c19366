// Shared dictionaries: hash tables in MAP_SHARED memory made by the master before it forks, used by all workers.
// Striped robust mutexes: a worker that dies inside leaves a usable table (at worst one stripe's entries are lost).
// Values: string, number, boolean, or list. The least recently used entries of a stripe are evicted when it is full; a value
// is at most one stripe (a 16th of a large dictionary, see shdict_largest). Expiry is by the monotonic clock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

typedef struct shdict shdict_t;
typedef enum shdict_type { SHD_NIL, SHD_BOOL, SHD_NUMBER, SHD_STRING } shdict_type_t;

typedef struct shdict_value {
    shdict_type_t type;
    double number; // or 0/1 for booleans
    str_t string;  // shdict_get: copied into the caller's buffer, see there
    uint32_t flags;
} shdict_value_t;

enum {
    SHD_OK = 0,
    SHD_NOT_FOUND = -1,
    SHD_EXISTS = -2,
    SHD_NO_MEMORY = -3,
    SHD_NOT_A_NUMBER = -4,
    SHD_KEY_INVALID = -5, // empty or over 65535 bytes
    SHD_IS_LIST = -6,     // the key holds a list
    SHD_NOT_A_LIST = -7,  // the key holds a plain value
};

// A dictionary of `bytes` of shared memory under `name` (at most 32 bytes of name). NULL when memory cannot be had.
shdict_t *shdict_create(str_t name, size_t bytes);
void shdict_destroy(shdict_t *d);
// The dictionary of that name made by this process or its parent, or NULL.
shdict_t *shdict_find(str_t name);

// `buf`/`cap` receive a string value; when it does not fit, SHD_NO_MEMORY and string.n says the size. stale: expired entries too (*is_stale).
int shdict_get(shdict_t *d, str_t key, shdict_value_t *out, char *buf, size_t cap, bool stale,
               bool *is_stale);
typedef enum shdict_mode { SHD_SET, SHD_ADD, SHD_REPLACE } shdict_mode_t;
// ttl_ms 0: never expires. A value of SHD_NIL deletes (SHD_SET only). safe: SHD_NO_MEMORY instead of evicting unexpired entries. *forcible: valid entries were evicted.
int shdict_store(shdict_t *d, str_t key, const shdict_value_t *v, uint64_t ttl_ms,
                 shdict_mode_t mode, bool safe, bool *forcible);
int shdict_delete(shdict_t *d, str_t key);
// Adds to a number atomically; creates it from *init (NULL: SHD_NOT_FOUND) with init_ttl_ms.
int shdict_incr(shdict_t *d, str_t key, double by, const double *init, uint64_t init_ttl_ms,
                double *out, bool *forcible);
int shdict_ttl(shdict_t *d, str_t key, int64_t *ttl_ms); // 0: no expiry
int shdict_expire(shdict_t *d, str_t key, uint64_t ttl_ms);
void shdict_flush_all(shdict_t *d); // marks all expired
uint32_t shdict_flush_expired(shdict_t *d, uint32_t max);
// Lists (lpush, rpush, lpop, rpop, llen as ngx.shared.DICT).
int shdict_push(shdict_t *d, str_t key, const shdict_value_t *v, bool left, uint32_t *len);
int shdict_pop(shdict_t *d, str_t key, bool left, shdict_value_t *out, char *buf, size_t cap);
int shdict_len(shdict_t *d, str_t key, uint32_t *len);
// Keys, at most max (0: all), newline-free callback order unspecified. each(arg, key) runs with no lock held on a snapshot.
void shdict_keys(shdict_t *d, uint32_t max, void (*each)(void *arg, str_t key), void *arg);
uint64_t shdict_capacity(const shdict_t *d);
uint64_t shdict_free_space(shdict_t *d);
uint64_t shdict_largest(const shdict_t *d); // bytes of the largest key and value together
str_t shdict_name(const shdict_t *d);
// The dictionary in place i (below SHDICTS_MAX), or NULL.
enum { SHDICTS_MAX = 32 };
shdict_t *shdict_at(unsigned i);

// Fixed-window limits, all or nothing: takes `cost` from every window when none would pass its limit; else takes nothing. Exact over all workers.
typedef struct limit_window {
    uint64_t start_ms;  // in: start of the window (part of the key)
    uint64_t length_ms; // in
    double limit;       // in
    double used;        // out: after taking (or as it is, when refused)
} limit_window_t;
// true: taken. `key` identifies whom; `n` <= 8 windows. *full: index of the first window that refused.
// cost 0 only looks; a negative cost gives back (not below 0). limit INFINITY always takes: booking what is already spent.
bool shdict_limit_take(shdict_t *d, str_t key, double cost, limit_window_t *w, unsigned n,
                       unsigned *full);
