// Clocks: monotonic for durations, wall for timestamps. vDSO reads, about 25 ns each.
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

// Microseconds since an arbitrary start; never goes back.
static inline uint64_t clock_mono_us(void)
{
    return clock_read_us(CLOCK_MONOTONIC);
}

// Microseconds since the Unix epoch.
static inline uint64_t clock_wall_us(void)
{
    return clock_read_us(CLOCK_REALTIME);
}
