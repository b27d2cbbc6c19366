// The error log: one line a message, by level, to one descriptor. Not the access log (core/record.h).
// Line: `2026/11/23 00:00:50 [error] 4653#0: message`. Control bytes in a message are escaped.
#pragma once

#include <stdbool.h>

#include "base/str.h"

// Numbers as ngx.log's and syslog's.
typedef enum log_level {
    LOG_STDERR = 0,
    LOG_EMERG = 1,
    LOG_ALERT = 2,
    LOG_CRIT = 3,
    LOG_ERR = 4,
    LOG_WARN = 5,
    LOG_NOTICE = 6,
    LOG_INFO = 7,
    LOG_DEBUG = 8,
} log_level_t;

// Opens `path` for appending ("-" or "stderr": descriptor 2). 0, or -errno and the old log stays.
int log_open(const char *path);
void log_set_level(log_level_t level);
log_level_t log_level(void);

// The level of a name (debug, info, notice, warn, error, crit, alert, emerg), or -1.
int log_level_parse(str_t name);
const char *log_level_name(log_level_t level);

static inline bool log_wants(log_level_t level)
{
    return level <= log_level();
}

// One line; cut at 8 KiB. Never fails: what cannot be written is counted (log_dropped).
void log_write(log_level_t level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
unsigned long log_dropped(void);
