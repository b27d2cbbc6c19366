// Native functions that answer: exit and error (they unwind the chain and never return), a response in pieces, chunks of
// body_filter, the collected body of the response phase. Not the writing itself (core/respond.c).
// Invariant: where a chain may wait, exit and error only record what to answer; the answer is given after unwinding.
#include "lua/bridge.h"

#include "base/check.h"
#include "base/err.h"
#include "core/raw.h"
#include "core/respond.h"
#include "lua/socket.h"

// ---- exit ----

static unsigned check_status(lua_State *L, int i)
{
    lua_Number n = luaL_checknumber(L, i);
    if (n < 100 || n > 599 || n != (lua_Number)(unsigned)n)
        luaL_argerror(L, i, "code must be a number between 100 and 599");
    return (unsigned)n;
}

// Phases that may not wait: the response phase is unwound by an error, header_filter goes on and returns.
static int leave_main_state(lua_State *L, task_t *t, leave_t how)
{
    request_t *r = t->req;
    uint32_t phase = bridge_self()->state.phase;
    if (phase == PHASE_RESPONSE) {
        t->leave = how;
        return luaL_error(L, "the response phase was left");
    }
    if (phase != PHASE_HEADER_FILTER || r->head_sent)
        return luaL_error(L, "a response can no longer be made in this phase");
    r->status = (uint16_t)t->exit_status;
    if (t->exit_type.n)
        respond_header_set(r, STR("Content-Type"), t->exit_type);
    t->has_exit = true;
    if (r->length_known)
        r->length_out = t->exit_body.n;
    r->phases |= PHASE_BODY_FILTER;
    return 0;
}

static int leave(lua_State *L, leave_t how)
{
    bridge_t *b = bridge_self();
    if (!b->thread)
        return leave_main_state(L, b->task, how);
    return task_leave(L, how);
}

// exit(status[, body[, content_type]])
static int l_exit(lua_State *L)
{
    request_t *r = request_check(L);
    task_t *t = bridge_self()->task;
    t->exit_status = check_status(L, 1);
    t->exit_body = arena_dup(&r->arena, arg_str_opt(L, 2));
    t->exit_type = arena_dup(&r->arena, arg_str_opt(L, 3));
    return leave(L, LEAVE_EXIT);
}

// error(status[, message])
static int l_error(lua_State *L)
{
    request_t *r = request_check(L);
    task_t *t = bridge_self()->task;
    t->exit_status = check_status(L, 1);
    str_t message = arg_str_opt(L, 2);
    t->exit_body = message.p ? arena_dup(&r->arena, message) : str_make(NULL, 0);
    t->exit_type = STR("");
    return leave(L, LEAVE_ERROR);
}

static int l_stop(lua_State *L)
{
    if (!bridge_self()->thread)
        return 0;
    return task_leave(L, LEAVE_STOP);
}

// ---- a response in pieces ----

// Where the client has gone, the chain ends here; else what to return.
static int gone_or(lua_State *L, request_t *r, int rc)
{
    if (rc != 0 || r->finished) {
        if (bridge_self()->thread)
            return task_leave(L, LEAVE_GONE);
        return push_error(L, "request ended");
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int begin(request_t *r, unsigned status)
{
    if (r->head_sent)
        return 0;
    r->source = SOURCE_EXIT;
    return respond_begin(r, status, UINT64_MAX);
}

// The plugin has the connection: the gateway writes nothing to it any more.
static int raw_error(lua_State *L)
{
    return push_error(L, "raw request socket acquired");
}

static request_t *check_streaming(lua_State *L)
{
    request_t *r = request_check(L);
    if (!bridge_self()->thread)
        thread_check(L);
    if (r->head_sent && r->source == SOURCE_SERVICE)
        luaL_error(L, "the service's response is on its way already");
    return r;
}

static int l_begin(lua_State *L)
{
    request_t *r = check_streaming(L);
    unsigned status =
        lua_isnoneornil(L, 1) ? (r->status ? r->status : 200) : check_status(L, 1);
    if (r->raw)
        return raw_error(L);
    if (r->head_sent)
        return push_error(L, "headers have already been sent");
    return gone_or(L, r, begin(r, status));
}

static int l_print(lua_State *L)
{
    request_t *r = check_streaming(L);
    str_t text = arg_str(L, 1);
    if (r->raw)
        return raw_error(L);
    if (r->ended)
        return push_error(L, "seen eof");
    int rc = begin(r, r->status ? r->status : 200);
    if (rc == 0 && r->head_only)
        return push_error(L, "header only");
    if (rc == 0 && text.n)
        rc = respond_body(r, text);
    if (rc == 0)
        respond_flush(r); // the text is Lua's
    return gone_or(L, r, rc);
}

static void flush_cancel(thread_t *t)
{
    io_timer_stop(&t->timer);
}

static void on_flush_check(io_timer_t *timer)
{
    enum { CHECK_MS = 5 };
    thread_t *t = CONTAINER_OF(timer, thread_t, timer);
    request_t *r = t->task->req;
    if (respond_pending(r) > 0 && !r->finished) {
        io_timer_start(timer, CHECK_MS);
        return;
    }
    lua_pushboolean(t->co, 1);
    thread_resume(t, 1);
}

// flush([wait]): wait until the client has taken what is queued.
static int l_flush(lua_State *L)
{
    request_t *r = check_streaming(L);
    if (r->raw)
        return raw_error(L);
    int rc = begin(r, r->status ? r->status : 200);
    if (rc != 0)
        return gone_or(L, r, rc);
    respond_flush(r);
    thread_t *t = bridge_self()->thread;
    if (!lua_toboolean(L, 1) || respond_pending(r) == 0)
        return gone_or(L, r, 0);
    t->timer.fn = on_flush_check;
    io_timer_start(&t->timer, 1);
    return thread_wait(L, flush_cancel, NULL);
}

// raw_socket(): the client's connection, as a socket that the plugin owns; nil and why.
static int l_raw_socket(lua_State *L)
{
    request_t *r = check_streaming(L);
    const char *why = raw_refusal(r);
    if (why)
        return push_error(L, why);
    csock_borrow(L, bridge_self()->task);
    return 1;
}

// The response is complete; the chain may go on, but the request is over.
static int l_finish(lua_State *L)
{
    request_t *r = check_streaming(L);
    if (r->raw)
        return raw_error(L);
    if (r->ended)
        return push_error(L, "seen eof");
    int rc = begin(r, r->status ? r->status : 200);
    if (rc == 0)
        respond_end(r);
    return gone_or(L, r, rc);
}

// ---- body_filter and response ----

static int l_chunk(lua_State *L)
{
    bridge_t *b = bridge_self();
    push_str(L, b->chunk);
    lua_pushboolean(L, b->chunk_eof);
    return 2;
}

// set_chunk(text | nil[, eof])
static int l_set_chunk(lua_State *L)
{
    bridge_t *b = bridge_self();
    if (b->state.phase != PHASE_BODY_FILTER)
        return luaL_error(L, "chunks exist in body_filter only");
    str_t text = arg_str_opt(L, 1);
    buf_clear(&b->chunk_buf);
    if (text.n)
        buf_append(&b->chunk_buf, text);
    b->chunk = buf_str(&b->chunk_buf);
    if (!lua_isnoneornil(L, 2))
        b->chunk_eof = lua_toboolean(L, 2);
    return 0;
}

static int l_collected(lua_State *L)
{
    request_t *r = request_check(L);
    if (!r->buffering)
        return push_error(L, "the response is not buffered");
    push_str(L, buf_str(&r->collected));
    return 1;
}

static int l_set_collected(lua_State *L)
{
    request_t *r = request_check(L);
    str_t text = arg_str(L, 1);
    if (!r->buffering || r->head_sent)
        return push_error(L, "the response is not buffered, or already sent");
    buf_clear(&r->collected);
    buf_append(&r->collected, text);
    lua_pushboolean(L, 1);
    return 1;
}

const luaL_Reg native_respond[] = {
    {"exit", l_exit},
    {"error", l_error},
    {"stop", l_stop},
    {"begin", l_begin},
    {"print", l_print},
    {"flush", l_flush},
    {"finish", l_finish},
    {"raw_socket", l_raw_socket},
    {"chunk", l_chunk},
    {"set_chunk", l_set_chunk},
    {"collected", l_collected},
    {"set_collected", l_set_collected},
    {NULL, NULL},
};
