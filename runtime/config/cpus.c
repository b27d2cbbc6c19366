// Reads the CPU quota of every cgroup from our own up to the root; see cpus.h. What cannot be read limits nothing.
#include "config/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/settings.h"

static uint32_t cpus_of_affinity(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

static bool read_line(const char *root, const char *path, char *out, int cap)
{
    char full[PATH_MAX];
    if (snprintf(full, sizeof full, "%s%s", root, path) >= (int)sizeof full)
        return false;
    FILE *f = fopen(full, "r");
    if (!f)
        return false;
    bool read = fgets(out, cap, f) != NULL;
    fclose(f);
    return read;
}

// Quota over period, rounded up; 0: none.
static uint32_t cpus_of_quota(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    return (uint32_t)((quota + period - 1) / period);
}

static uint32_t quota_v2(const char *root, const char *dir)
{
    char path[PATH_MAX], line[128];
    long long quota, period;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", dir);
    if (!read_line(root, path, line, sizeof line) ||
        sscanf(line, "%lld %lld", &quota, &period) != 2)
        return 0;
    return cpus_of_quota(quota, period);
}

static uint32_t quota_v1(const char *root, const char *dir)
{
    char path[PATH_MAX], quota[64], period[64];
    snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", dir);
    if (!read_line(root, path, quota, sizeof quota))
        return 0;
    snprintf(path, sizeof path, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", dir);
    if (!read_line(root, path, period, sizeof period))
        return 0;
    return cpus_of_quota(atoll(quota), atoll(period));
}

static uint32_t smaller(uint32_t limit, uint32_t found)
{
    return found && found < limit ? found : limit;
}

// The directory's limit and its parents'. In a container the path may not exist: then the root's counts.
static uint32_t limit_upwards(const char *root, char *dir, uint32_t limit,
                              uint32_t (*quota)(const char *, const char *))
{
    while (*dir) {
        limit = smaller(limit, quota(root, dir));
        char *slash = strrchr(dir, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    return smaller(limit, quota(root, ""));
}

static bool names_cpu(const char *controllers)
{
    for (const char *p = controllers; (p = strstr(p, "cpu")); p += 3) {
        bool starts = p == controllers || p[-1] == ',';
        if (starts && (p[3] == '\0' || p[3] == ','))
            return true;
    }
    return false;
}

uint32_t cpus_available(const char *root)
{
    char path[PATH_MAX], line[PATH_MAX + 64];
    uint32_t limit = cpus_of_affinity();
    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path)
        return limit;
    FILE *f = fopen(path, "r");
    if (!f)
        return limit;
    while (fgets(line, sizeof line, f)) {
        char *controllers = strchr(line, ':'),
             *dir = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!dir)
            continue;
        *dir++ = '\0';
        controllers++;
        dir[strcspn(dir, "\n")] = '\0';
        if (*controllers == '\0')
            limit = limit_upwards(root, dir, limit, quota_v2);
        else if (names_cpu(controllers))
            limit = limit_upwards(root, dir, limit, quota_v1);
    }
    fclose(f);
    return limit;
}

uint32_t settings_workers(const settings_t *s)
{
    return s->workers ? s->workers : cpus_available("");
}
