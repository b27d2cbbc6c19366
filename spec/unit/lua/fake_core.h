// See fake_core.c.
#pragma once

#include "core/hello.h"
#include "core/request.h"
#include "core/worker.h"
#include "lua/script.h"

// Every handle of a test must be gone at its end.
#define CHECK_ALIVE(n) ASSERT((n) == 0, "a handle is still alive")

// What became of a request.
typedef struct fake_note {
    int proxied, exits, errors;
    unsigned status;
    char body[4096];
    int log_result, header_filter_result, body_filter_result;
} fake_note_t;

// Of the worker's settings; 0 (the default): no limit.
extern uint32_t fake_budget_ms;

int fake_open(char *why, size_t why_cap);
// routes and plugins: the elements of the document's arrays, as JSON text.
int fake_install(const char *routes, const char *plugins, char *why, size_t why_cap);
void fake_close(void);
loop_t *fake_loop(void);
uint64_t fake_lua_bytes(void);

// A client's handshake without a connection; how often hello_end was called, and with what.
hello_t fake_hello(void);
extern int fake_hello_ended, fake_hello_ok;

// A request on a route; held once by the test.
request_t *fake_request(uint32_t route);
void fake_header(request_t *r, const char *name, const char *value);
fake_note_t *fake_note(request_t *r);
// Finishes it (log phase) unless it has, and drops the test's hold.
void fake_free(request_t *r);
