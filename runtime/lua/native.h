// Small things that several native_*.c and abi_*.c share.
#pragma once

#include "core/shdict.h"

// The dictionary of a handle that native shd_find gave, or NULL.
shdict_t *native_shdict_of(int32_t handle);
// Seconds as given by Lua -> milliseconds, at least 1 for anything above 0; 0: never.
uint64_t native_ttl_ms(double seconds);
