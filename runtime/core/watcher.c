// inotify and polling behind one question, "is it due?"; see watcher.h.
// Invariants: event names are only a hint; any loss (overflow, a watched thing that went) leads to a look at everything.
#include "core/watcher.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/load.h"
#include "core/watch_set.h"

enum {
    QUIET_MS = 200,      // a change has come to rest when nothing has happened for so long
    QUIET_CAP_MS = 2000, // or when it has gone on for so long
    AGAIN_MS = 500,      // after a reading that came to nothing
    INTERVAL_MIN_MS = 100,
};

static const uint32_t MASK = IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |
                             IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
                             IN_ONLYDIR | IN_EXCL_UNLINK;

struct watcher {
    const settings_t *s;
    int fd; // inotify's, -1: none
    bool off, polls, said_why;
    watch_set_t set;
    buf_t facts; // of the configuration last loaded
    uint64_t signature;
    uint64_t first_ms, last_ms; // of the change that has not come to rest; 0: none
    uint64_t poll_ms;           // when to look next; 0: never
};

// ---- what to watch ----

static void path_of(char out[PATH_MAX], str_t base, const char *tail)
{
    while (base.n > 1 && base.p[base.n - 1] == '/')
        base.n--;
    snprintf(out, PATH_MAX, "%.*s%s", STR_FMT(base), tail);
}

static str_t parent_of(str_t path)
{
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    for (size_t n = path.n; n > 0; n--) {
        if (path.p[n - 1] == '/')
            return str_make(path.p, n - 1);
    }
    return STR(".");
}

static void collect(watcher_t *w, watch_set_t *set)
{
    char path[PATH_MAX];
    str_t name, value, facts = buf_str(&w->facts);
    for (uint32_t i = 0; i < w->s->n_config_paths; i++) {
        path_of(path, w->s->config_paths[i], "");
        watch_set_add_path(set, path);
        path_of(path, w->s->config_paths[i], "/plugins");
        watch_set_add_plugins(set, path, false);
        path_of(path, parent_of(w->s->config_paths[i]), "/plugins");
        watch_set_add_plugins(set, path, false);
    }
    for (uint32_t i = 0; i < w->s->n_plugin_dirs; i++) {
        path_of(path, w->s->plugin_dirs[i], "/plugins");
        watch_set_add_plugins(set, path, false);
        path_of(path, w->s->plugin_dirs[i], "/kong/plugins");
        watch_set_add_plugins(set, path, false);
        path_of(path, w->s->plugin_dirs[i], "");
        watch_set_add_plugins(set, path, true);
    }
    while (facts_next(&facts, &name, &value)) {
        if (!str_eq(name, STR("secret")))
            continue;
        path_of(path, value, "");
        watch_set_add_path(set, path);
    }
}

// ---- inotify ----

static void give_up_inotify(watcher_t *w, int error)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    w->polls = true;
    if (!w->said_why)
        log_write(LOG_WARN,
                  "changes of the configuration are looked for every %u ms, since inotify is "
                  "not to be had: %s "
                  "(see fs.inotify.max_user_instances and max_user_watches)",
                  w->s->watch_interval_ms, strerror(error));
    w->said_why = true;
}

// Watches everything of the set; what has gone meanwhile is found by the next look.
static void arm(watcher_t *w, watch_set_t *set)
{
    for (size_t i = 0; i < set->n && w->fd >= 0; i++) {
        set->v[i].wd = inotify_add_watch(w->fd, set->v[i].dir, MASK);
        if (set->v[i].wd < 0 && (errno == ENOSPC || errno == ENOMEM))
            give_up_inotify(w, errno);
    }
}

static bool has_wd(const watch_set_t *set, int wd)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->v[i].wd == wd)
            return true;
    }
    return false;
}

static void rearm(watcher_t *w)
{
    watch_set_t set = {0};
    collect(w, &set);
    arm(w, &set);
    for (size_t i = 0; i < w->set.n && w->fd >= 0; i++) {
        int wd = w->set.v[i].wd;
        if (wd >= 0 && !has_wd(&set, wd))
            inotify_rm_watch(w->fd, wd); // fails when it went by itself
    }
    watch_set_dispose(&w->set);
    w->set = set;
}

static void note_change(watcher_t *w, uint64_t now_ms)
{
    w->first_ms = w->first_ms ? w->first_ms : now_ms;
    w->last_ms = now_ms;
}

static bool matters(const watcher_t *w, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW)
        return true;
    for (size_t i = 0; i < w->set.n; i++) {
        const watched_t *at = &w->set.v[i];
        if (at->wd == e->wd &&
            (e->len == 0 ? (e->mask & ~(uint32_t)IN_ATTRIB & ~(uint32_t)IN_ISDIR) != 0
                         : watched_cares(at, e->name)))
            return true;
    }
    return false;
}

static void read_events(watcher_t *w, uint64_t now_ms)
{
    _Alignas(struct inotify_event) char bytes[8192];
    ssize_t n;
    while (w->fd >= 0 && (n = read(w->fd, bytes, sizeof bytes)) > 0) {
        for (char *p = bytes; p < bytes + n;) {
            const struct inotify_event *e = (const struct inotify_event *)(const void *)p;
            if (matters(w, e))
                note_change(w, now_ms);
            p += sizeof *e + e->len;
        }
    }
}

// ---- when ----

static void look(watcher_t *w, uint64_t now_ms)
{
    w->poll_ms = now_ms + w->s->watch_interval_ms;
    rearm(w);
    uint64_t signature = watch_set_signature(&w->set);
    if (signature != w->signature)
        note_change(w, now_ms);
    w->signature = signature;
}

static uint64_t rest_ms(const watcher_t *w)
{
    uint64_t quiet = w->last_ms + QUIET_MS, cap = w->first_ms + QUIET_CAP_MS;
    return quiet < cap ? quiet : cap;
}

bool watcher_due(watcher_t *w, uint64_t now_ms)
{
    if (w->off)
        return false;
    read_events(w, now_ms);
    if (w->polls && now_ms >= w->poll_ms)
        look(w, now_ms);
    if (!w->first_ms || now_ms < rest_ms(w))
        return false;
    rearm(w);
    w->signature = watch_set_signature(&w->set);
    w->first_ms = w->last_ms = 0;
    return true;
}

uint64_t watcher_next_ms(const watcher_t *w)
{
    uint64_t poll_ms = w->polls && !w->off ? w->poll_ms : 0,
             rest = w->first_ms ? rest_ms(w) : 0;
    return poll_ms && (!rest || poll_ms < rest) ? poll_ms : rest;
}

void watcher_again(watcher_t *w, uint64_t now_ms)
{
    if (w->off || w->first_ms)
        return;
    w->first_ms = now_ms;
    w->last_ms = now_ms + AGAIN_MS;
}

// ---- what cannot change ----

// A file mounted by itself (subPath in Kubernetes) stays the file that it was: a new one beside it is never seen.
static void warn_of_mounts(const settings_t *s)
{
    for (uint32_t i = 0; i < s->n_config_paths; i++) {
        char path[PATH_MAX];
        struct statx st;
        path_of(path, s->config_paths[i], "");
        if (statx(AT_FDCWD, path, 0, STATX_TYPE | STATX_NLINK, &st) != 0 ||
            !S_ISREG(st.stx_mode))
            continue;
        if ((st.stx_attributes & STATX_ATTR_MOUNT_ROOT) || st.stx_nlink == 0)
            log_write(LOG_WARN,
                      "%s is a mount of its own: what replaces it outside is not seen until "
                      "the next start "
                      "(in Kubernetes mount the whole volume, without subPath)",
                      path);
    }
}

// ---- life ----

static bool chosen(const settings_t *s, const char *word)
{
    return str_eq(s->watch, str_from(word));
}

watcher_t *watcher_create(const settings_t *s)
{
    watcher_t *w = mem_zalloc(sizeof *w);
    ASSERT(s->watch_interval_ms >= INTERVAL_MIN_MS || chosen(s, "off"),
           "an interval of polling is no busy loop");
    w->s = s;
    w->fd = -1;
    w->off = chosen(s, "off");
    w->polls = !chosen(s, "inotify");
    if (w->off)
        return w;
    if (!chosen(s, "poll")) {
        w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (w->fd < 0)
            give_up_inotify(w, errno);
    }
    warn_of_mounts(s);
    rearm(w);
    w->signature = watch_set_signature(&w->set);
    w->poll_ms = clock_mono_us() / 1000 + s->watch_interval_ms;
    return w;
}

void watcher_leave(watcher_t *w)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

void watcher_destroy(watcher_t *w)
{
    if (!w)
        return;
    watcher_leave(w);
    watch_set_dispose(&w->set);
    buf_dispose(&w->facts);
    free(w);
}

void watcher_set_facts(watcher_t *w, str_t facts)
{
    if (w->off)
        return;
    buf_clear(&w->facts);
    buf_append(&w->facts, facts);
    // The signature stays: were it taken now, a change since the reading would not be seen by polling.
    rearm(w);
}

int watcher_fd(const watcher_t *w)
{
    return w->fd;
}

const char *watcher_mode(const watcher_t *w)
{
    return w->off ? "off" : w->fd >= 0 ? "inotify" : "poll";
}
