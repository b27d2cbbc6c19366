// Notices that a configuration's files may have changed: files, directories and Kubernetes volumes by inotify, and by looking at them
// now and then. It only says "maybe": whether anything did change is the loader's to find out, by content.
// Not reading (lua/loader.h). Owned by the master, or by a process alone.
// Invariant: what is to be watched is worked out anew before a change is reported, so that a reading that follows misses nothing.
#pragma once

#include "base/buf.h"
#include "config/settings.h"

typedef struct watcher watcher_t;

// settings->watch decides how; "off": nothing is ever due. Paths: config_paths, plugin_dirs and the plugins/ directories beside them.
watcher_t *watcher_create(const settings_t *s); // settings: borrowed
void watcher_destroy(watcher_t *w);             // NULL is allowed
// More files to watch: the `secret` facts of a loaded configuration (core/load.h). They replace the earlier ones.
void watcher_set_facts(watcher_t *w, str_t facts);

// Readable when there is something for watcher_due; -1: there is no such descriptor, ask in time.
int watcher_fd(const watcher_t *w);
// "inotify", "poll" or "off": how it works now.
const char *watcher_mode(const watcher_t *w);
// Takes what inotify has to say. True when a change has come to rest and the files should be read; says so once.
bool watcher_due(watcher_t *w, uint64_t now_ms);
// When to ask again at the latest, as monotonic ms; 0: never.
uint64_t watcher_next_ms(const watcher_t *w);
// The last reading came to nothing (the files were changing): due again after a while.
void watcher_again(watcher_t *w, uint64_t now_ms);
// In a forked child: closes the descriptor, nothing else.
void watcher_leave(watcher_t *w);
