// What the outside is told about this process's life: systemd's notification socket (sd_notify's protocol, without its library) and
// Kubernetes' termination message. Not logs (base/log.h).
// Invariant: nothing here is needed to serve; what cannot be said is logged once and passed over.
#pragma once

#include <stdint.h>

// Sends one notification ("READY=1", "STOPPING=1", several lines) when NOTIFY_SOCKET is set. A socket that nobody reads any more is forgotten.
void notify(const char *state);
// READY=1 or STOPPING=1 with a STATUS line, printf-like: what `systemctl status` shows.
__attribute__((format(printf, 1, 2))) void notify_ready(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void notify_stopping(const char *fmt, ...);
// RELOADING=1 with the moment that Type=notify-reload asks for; notify_ready ends it.
void notify_reloading(void);

// Says WATCHDOG=1 when half of the time that the service manager allows (WATCHDOG_USEC, for this process: WATCHDOG_PID) has passed since
// it was last said; does nothing without. To be called in each turn of a loop that must not hang.
void notify_alive(uint64_t now_ms);

// Leaves the cause of a failed start where Kubernetes looks for it (/dev/termination-log), when there is such a file.
void notify_failure(const char *why);
