// The script that does nothing: core runs without Lua (C tests, routes without plugins).
#include "core/script.h"

static int none_open(worker_t *w, char *why, size_t why_cap)
{
    (void)w, (void)why, (void)why_cap;
    return 0;
}

static int none_install(worker_t *w, generation_t *g, char *why, size_t why_cap)
{
    (void)w, (void)g, (void)why, (void)why_cap;
    return 0;
}

static void none_worker(worker_t *w)
{
    (void)w;
}

static script_result_t none_enter_certificate(hello_t *h)
{
    (void)h;
    return SCRIPT_DONE;
}

static void none_abort_certificate(hello_t *h)
{
    (void)h;
}

static script_result_t none_enter_access(request_t *r)
{
    (void)r;
    return SCRIPT_DONE;
}

static script_result_t none_enter(request_t *r, uint32_t phase)
{
    (void)r, (void)phase;
    return SCRIPT_DONE;
}

static script_result_t none_body_filter(request_t *r, str_t chunk, bool *eof, str_t *out)
{
    (void)r, (void)eof;
    *out = chunk;
    return SCRIPT_DONE;
}

static void none_request(request_t *r)
{
    (void)r;
}

static uint64_t none_memory(worker_t *w)
{
    (void)w;
    return 0;
}

const script_t script_none = {
    .open = none_open,
    .install = none_install,
    .finish = none_worker,
    .close = none_worker,
    .enter_certificate = none_enter_certificate,
    .abort_certificate = none_abort_certificate,
    .enter_access = none_enter_access,
    .enter = none_enter,
    .body_filter = none_body_filter,
    .release = none_request,
    .abort = none_request,
    .memory = none_memory,
};
