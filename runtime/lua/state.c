// A worker's Lua states: made, given the native functions and boot.lua, replaced when plugins' code changes, closed when the last request
// of theirs has ended. What script_lua consists of. Not phases (phases.c) nor coroutines (co.c).
// Invariant: nothing of Lua outlives script_close; worker->script_state is the newest state, but while an older one's code runs.
#include "lua/bridge.h"
#include "lua/script.h"

#include <luajit.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/json.h"
#include "io/tls.h"
#include "core/quarantine.h"
#include "core/stats.h"

static const char *share_dir = "."; // set once by main, before any thread

void lua_set_share(const char *dir)
{
    share_dir = dir;
}

const char *lua_share(void)
{
    return share_dir;
}

const char *lua_engine(void)
{
    return LUAJIT_VERSION;
}

// The files of FFI functions, which nobody calls from C: kept when a program links this room as an archive.
__attribute__((used)) static const struct {
    mg_state_t *(*request)(void);
    int32_t (*json)(mg_str_t *why);
    double (*shared)(void);
    int32_t (*ai)(const void *plan, uint32_t *flags);
    uint32_t *(*guard)(void);
    int32_t (*identity)(void);
} ffi_files = {mg_state,    mg_json_open,      mg_now,
               mg_ai_apply, mg_plugin_running, mg_identity_clear};

static void add_functions(lua_State *L, const luaL_Reg *list)
{
    for (; list->name; list++) {
        lua_pushcfunction(L, list->func);
        lua_setfield(L, -2, list->name);
    }
}

void bridge_open_type(lua_State *L, const char *name, lua_CFunction gc,
                      const luaL_Reg *const *methods)
{
    bool fresh = luaL_newmetatable(L, name);
    ASSERT(fresh, "a type is opened once in a state");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    for (; *methods; methods++)
        add_functions(L, *methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

static int open_native(lua_State *L)
{
    static const luaL_Reg *const LISTS[] = {
        native_request,  native_respond, native_node,   native_shdict, native_wait,
        native_timer,    native_socket,  native_udp,    native_pipe,   native_crypto,
        native_regex,    native_entity,  native_co,     native_file,   native_ai,
        native_upstream, native_dns,     native_volume, native_guard,  native_admin,
        native_body_file};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof LISTS / sizeof *LISTS; i++)
        add_functions(L, LISTS[i]);
    socket_open_types(L);
    udp_open_type(L);
    pipe_open_type(L);
    regex_open_type(L);
    return 1;
}

// The functions that boot.lua returns to be called from here.
static int ref_boot(bridge_t *b, const char *name, int *ref, char *why, size_t why_cap)
{
    lua_getfield(b->L, -1, name);
    if (!lua_isfunction(b->L, -1)) {
        snprintf(why, why_cap, "boot.lua returns no function %s", name);
        return -1;
    }
    *ref = luaL_ref(b->L, LUA_REGISTRYINDEX);
    return 0;
}

static int run_boot(bridge_t *b, char *why, size_t why_cap)
{
    lua_State *L = b->L;
    char path[4096];
    snprintf(path, sizeof path, "%s/lualib/boot.lua", share_dir);
    if (luaL_loadfile(L, path) != 0 || lua_pcall(L, 0, 1, 0) != 0) {
        const char *text = lua_tostring(L, -1);
        snprintf(why, why_cap, "%s", text ? text : "boot.lua failed");
        return -1;
    }
    if (!lua_istable(L, -1)) {
        snprintf(why, why_cap, "boot.lua returned no table");
        return -1;
    }
    int rc = ref_boot(b, "run", &b->run_ref, why, why_cap);
    rc = rc ? rc : ref_boot(b, "on_error", &b->on_error_ref, why, why_cap);
    rc = rc ? rc : ref_boot(b, "install", &b->install_ref, why, why_cap);
    rc = rc ? rc : ref_boot(b, "start", &b->start_ref, why, why_cap);
    return rc;
}

static void on_panic(lua_State *L)
{
    const char *text = lua_tostring(L, -1);
    log_write(LOG_EMERG, "[lua] panic: %s", text ? text : "(no text)");
}

static int panic(lua_State *L)
{
    on_panic(L);
    UNREACHABLE("an error reached Lua's outermost call");
}

static void on_end(io_timer_t *t);

static void bridge_init(bridge_t *b, worker_t *w)
{
    io_timer_init(&b->end_timer, w->loop, on_end);
    b->worker = w;
    b->state.version = MG_ABI_VERSION;
    b->state.size = sizeof b->state;
    b->run_ref = b->on_error_ref = b->timer_main_ref = b->install_ref = b->start_ref =
        b->slots_ref = LUA_NOREF;
    list_init(&b->pool);
    list_init(&b->tasks);
    list_init(&b->generations);
    list_init(&b->socket_pools);
    list_init(&b->cert_contexts);
    list_init(&b->timers);
    b->wall_us = clock_wall_us();
    b->plugin_row = quarantine_running(w->index);
}

// ---- a state ----

static void bridge_close(bridge_t *b)
{
    bridge_t *before = bridge_enter(b);
    b->closing = true;
    io_timer_stop(&b->end_timer);
    timers_finish(b); // those begun since, or all of them when the start failed
    while (!list_empty(&b->tasks))
        task_end(CONTAINER_OF(b->tasks.next, task_t, links));
    stat_fixed_add(SF_TIMERS_RUNNING, -(int64_t)b->timers_running); // those that were cut off
    phases_close(b);
    socket_pools_close(b);
    socket_contexts_close(b);
    while (!list_empty(&b->pool)) {
        thread_t *t = CONTAINER_OF(b->pool.next, thread_t, links);
        list_unlink(&t->links);
        free(t);
    }
    heap_dispose(b);
    lua_close(b->L);
    bridge_leave(b, before == b ? NULL : before);
    buf_dispose(&b->chunk_buf);
    buf_dispose(&b->scratch);
    free(b->free_slots);
    free(b);
}

static void open_libraries(lua_State *L)
{
    lua_atpanic(L, panic);
    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, open_native);
    lua_setfield(L, -2, "moongate.native");
    lua_settop(L, 0);
}

static bridge_t *bridge_open(worker_t *w, char *why, size_t why_cap)
{
    bridge_t *b = mem_zalloc(sizeof *b);
    bridge_init(b, w);
    b->L = luaL_newstate();
    if (!b->L) {
        snprintf(why, why_cap, "no memory for a Lua state");
        free(b);
        return NULL;
    }
    heap_init(b);
    bridge_t *before = bridge_enter(b);
    open_libraries(b->L);
    int rc = run_boot(b, why, why_cap);
    lua_settop(b->L, 0);
    bridge_leave(b, before);
    if (rc == 0)
        return b;
    bridge_close(b);
    return NULL;
}

// ---- the end of a state that another has replaced ----

// Stopped at once there is less time, since the master waits no longer than that.
enum { FINISH_MS = 2000, FINISH_AT_ONCE_MS = 600, END_TICK_MS = 20 };

static void unchain(bridge_t *b)
{
    bridge_t *at = b->worker->script_state;
    while (at && at->older != b)
        at = at->older;
    ASSERT(at, "a retired state is behind the newest");
    at->older = b->older;
}

static void on_end(io_timer_t *t)
{
    bridge_t *b = CONTAINER_OF(t, bridge_t, end_timer);
    uint64_t now_ms = loop_now_ms(b->worker->loop);
    if (!b->finish_at_ms) {
        b->finish_at_ms = now_ms + FINISH_MS;
        timers_finish(b);
    }
    if (b->timers_running && now_ms < b->finish_at_ms) {
        io_timer_start(t, END_TICK_MS);
        return;
    }
    unchain(b);
    bridge_close(b);
    log_write(LOG_INFO, "the Lua state of earlier plugin code is closed");
}

void bridge_end_soon(bridge_t *b)
{
    ASSERT(b->retired, "only a retired state ends");
    if (!b->closing && !b->finish_at_ms)
        io_timer_start(&b->end_timer, 1);
}

static void retire(bridge_t *b)
{
    b->retired = true;
    if (list_empty(&b->generations))
        bridge_end_soon(b);
}

// ---- as core asks for it ----

static int script_open(worker_t *w, char *why, size_t why_cap)
{
    ASSERT(worker_self == w, "the bridge finds its worker by worker_self");
    bridge_t *b = bridge_open(w, why, why_cap);
    w->script_state = b;
    if (b)
        watchdog_start(b);
    return b ? 0 : -1;
}

static int install_in(bridge_t *b, generation_t *g, char *why, size_t why_cap)
{
    bridge_t *before = bridge_enter(b);
    int rc = phases_install(b, g, why, why_cap);
    bridge_leave(b, before);
    return rc;
}

static str_t hash_of_code(const generation_t *g)
{
    str_t raw;
    bool found = json_get(g->code_json, STR("hash"), &raw) && raw.n == 66;
    return found ? str_make(raw.p + 1, 64) : STR("");
}

static void set_code(bridge_t *b, str_t hash)
{
    snprintf(b->code_hash, sizeof b->code_hash, "%.*s", STR_FMT(hash));
    b->has_code = true;
}

// Code that is loaded stays in its state: other code gets a state of its own, complete before anything is swapped.
static int install_anew(worker_t *w, generation_t *g, char *why, size_t why_cap)
{
    bridge_t *old = w->script_state, *b = bridge_open(w, why, why_cap);
    if (!b)
        return -1;
    set_code(b, hash_of_code(g));
    if (install_in(b, g, why, why_cap) != 0) {
        bridge_close(b);
        return -1;
    }
    watchdog_stop(old);
    watchdog_start(b);
    b->older = old;
    w->script_state = b;
    retire(old);
    return 0;
}

static int script_install(worker_t *w, generation_t *g, char *why, size_t why_cap)
{
    bridge_t *b = w->script_state;
    str_t hash = hash_of_code(g);
    if (b->has_code && !str_eq(hash, str_from(b->code_hash)))
        return install_anew(w, g, why, why_cap);
    set_code(b, hash);
    return install_in(b, g, why, why_cap);
}

static bool timers_run(const bridge_t *b)
{
    for (; b; b = b->older) {
        if (b->timers_running)
            return true;
    }
    return false;
}

static void script_finish(worker_t *w)
{
    uint64_t end_ms = loop_now_ms(w->loop) + (w->draining ? FINISH_MS : FINISH_AT_ONCE_MS);
    for (bridge_t *b = w->script_state; b; b = b->older) {
        io_timer_stop(&b->end_timer);
        b->finish_at_ms = end_ms;
        timers_finish(b);
    }
    while (timers_run(w->script_state) && loop_now_ms(w->loop) < end_ms)
        loop_turn(w->loop, END_TICK_MS);
}

static void script_close(worker_t *w)
{
    bridge_t *b = w->script_state;
    if (!b)
        return;
    ASSERT(list_empty(&w->requests), "requests end before the script is closed");
    watchdog_stop(b);
    while (b->older) {
        bridge_t *old = b->older;
        b->older = old->older;
        bridge_close(old);
    }
    bridge_close(b);
    w->script_state = NULL;
}

static void script_release(request_t *r)
{
    task_t *t = r->script;
    r->script = NULL;
    if (t)
        task_end(t);
}

static void script_abort(request_t *r)
{
    task_t *t = r->script;
    if (!t)
        return;
    // Running Lua code has caused this itself: it is unwound when it comes back to C.
    if (t->running)
        t->leave = LEAVE_GONE;
    else
        task_kill(t);
    t->settled = true;
}

static uint64_t script_memory(worker_t *w)
{
    uint64_t bytes = 0;
    for (const bridge_t *b = w->script_state; b; b = b->older)
        bytes += (uint64_t)lua_gc(b->L, LUA_GCCOUNT, 0) * 1024 +
                 (uint64_t)lua_gc(b->L, LUA_GCCOUNTB, 0);
    return bytes;
}

const script_t script_lua = {
    .open = script_open,
    .install = script_install,
    .finish = script_finish,
    .close = script_close,
    .enter_certificate = phases_enter_certificate,
    .abort_certificate = phases_abort_certificate,
    .enter_access = phases_enter_access,
    .enter = phases_enter,
    .body_filter = phases_body_filter,
    .release = script_release,
    .abort = script_abort,
    .memory = script_memory,
};
