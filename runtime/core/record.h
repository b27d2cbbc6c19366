// The record of a finished request as JSON, fields as Kong's log serializer has them, and the access log that writes it: buffered lines,
// written off the loop, dropped and counted (SF_LOG_DROPPED) when the disk does not keep up.
// Secrets never: values of Authorization, Proxy-Authorization, Cookie, Set-Cookie, API key fields and whatever key-auth looks in are
// "REDACTED", in header fields and in query arguments.
#pragma once

#include "core/request.h"

// Appends the record as one JSON object (no newline). r->end_us set: the request has finished. Members of r->log_fields replace those of
// the same name; a name with dots sets a member inside ("request.headers.x"), null there removes it; after "+" only when it is absent, after
// "~" only when it is present. Runs on the loop; about 10 us.
void record_write(buf_t *out, request_t *r);

// The member "ai" of a record (r->ai), in front of it a comma when it is not the first member: Kong's ai.proxy.meta and ai.proxy.usage.
void record_ai(buf_t *out, const request_t *r);

typedef struct access_log access_log_t;
// path "-": stdout; "off" or empty: NULL is returned with *err 0. Owned; close flushes. NULL with *err a negative errno on failure.
access_log_t *access_log_open(loop_t *l, str_t path, int *err);
// One line. At most 1 MiB waits for the disk; what comes beyond is dropped.
void access_log_append(access_log_t *log, request_t *r);
// The same for a line of text (without newline): log plugins' files. False when it was dropped.
bool access_log_line(access_log_t *log, str_t line);
// From now on a file that was moved or removed is made anew before the next write, without a signal.
void access_log_follow(access_log_t *log);
// Hands what is gathered to the thread pool now (it is done by itself at 64 KiB and after 200 ms).
void access_log_flush(access_log_t *log);
void access_log_reopen(access_log_t *log); // after rotation (SIGUSR1)
// Writes what is left, waiting for the disk at most about a second. Before loop_destroy.
void access_log_close(access_log_t *log);
