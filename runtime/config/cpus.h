// How many CPUs this process may use: the smaller of its affinity and its cgroup's quota (v1 and v2), at least 1.
#pragma once

#include "base/str.h"

// `root` is "" (tests give a directory that holds proc/self/cgroup and sys/fs/cgroup).
uint32_t cpus_available(const char *root);
