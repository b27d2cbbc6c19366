// Runs a Lua module as a program; see program.h. The table that it gets: a gateway in this process (open_gateway), listeners for
// fake upstreams (listen, accept), the end (done). The harness on top is lualib/spec.
// Invariant: what Lua opens here is closed before the worker is, whatever became of the module.
#include "lua/program.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/conn.h"
#include "core/dicts.h"
#include "core/node.h"
#include "core/shdict.h"
#include "core/stats.h"
#include "lua/loader.h"
#include "lua/script.h"
#include "lua/socket.h"

enum { FLAGS_MAX = 64, SERIES_MAX = 4096, BACKLOG = 256, PREFIX_BYTES = 1024 };

// One address that this process listens on.
typedef struct place {
    int fd; // -1: closed
    listener_t *listener;
    uint16_t port;
} place_t;

// A listener whose connections Lua takes.
typedef struct server {
    list_t links; // program->servers
    place_t place;
    thread_t *waiter; // in accept
    sock_t *queue[BACKLOG];
    unsigned n_queued;
} server_t;

typedef struct program {
    worker_t worker;
    settings_t base, own; // `own` while a gateway is open
    char prefix[PREFIX_BYTES];
    int code;
    bool open;
    place_t plain, tls; // of the gateway
    list_t servers;
    // The operation that waits for the end of this turn.
    io_defer_t defer;
    thread_t *waiter;
    char *flags[FLAGS_MAX];
    unsigned n_flags;
} program_t;

static program_t *self;

// What a gateway without configuration has.
static const char EMPTY[] =
    "{\"format\":1,\"services\":[],\"routes\":[],\"plugins\":[],\"consumers\":[],"
    "\"credentials\":[],\"upstreams\":[],\"certificates\":[]}";

// ---- listening ----

static int place_open(place_t *p, tls_ctx_t *tls, void (*accept)(void *, sock_t *), void *arg)
{
    addr_t a;
    socklen_t n = sizeof a;
    int err = addr_parse(STR("127.0.0.1:0"), &a);
    ASSERT(err == 0, "a literal address is well formed");
    p->fd = -1;
    if ((err = listen_bind(&a, BACKLOG, false, &p->fd)) != 0)
        return err;
    getsockname(p->fd, &a.sa, &n);
    p->port = addr_port(&a);
    listener_opts_t o = {.fd = p->fd, .tls = tls, .on_accept = accept, .arg = arg};
    p->listener = listener_start(self->worker.loop, &o);
    return 0;
}

static void place_close(place_t *p)
{
    if (p->fd < 0)
        return;
    listener_stop(p->listener);
    close(p->fd);
    p->fd = -1;
}

// ---- fake upstreams ----

static void on_server_accept(void *arg, sock_t *sock)
{
    server_t *s = arg;
    thread_t *t = s->waiter;
    if (t) {
        s->waiter = NULL;
        csock_adopt(t->co, t->task, sock);
        thread_resume(t, 1);
    } else if (s->n_queued < BACKLOG) {
        s->queue[s->n_queued++] = sock;
    } else {
        sock_reset(sock);
    }
}

static void server_close(server_t *s)
{
    place_close(&s->place);
    for (unsigned i = 0; i < s->n_queued; i++)
        sock_close(s->queue[i]);
    list_unlink(&s->links);
    free(s);
}

static server_t *server_check(lua_State *L)
{
    const void *wanted = lua_touserdata(L, 1);
    for (list_t *i = self->servers.next; i != &self->servers; i = i->next)
        if (CONTAINER_OF(i, server_t, links) == wanted)
            return CONTAINER_OF(i, server_t, links);
    luaL_error(L, "the server is closed");
    return NULL;
}

// listen() -> handle, port | nil, why
static int l_listen(lua_State *L)
{
    server_t *s = mem_zalloc(sizeof *s);
    list_init(&s->links);
    int err = place_open(&s->place, NULL, on_server_accept, s);
    if (err != 0) {
        free(s);
        return push_error(L, err_text(err));
    }
    list_push_back(&self->servers, &s->links);
    lua_pushlightuserdata(L, s);
    lua_pushnumber(L, s->place.port);
    return 2;
}

static void accept_cancel(thread_t *t)
{
    server_t *s = t->op;
    s->waiter = NULL;
}

// accept(handle) -> socket (as abi/socket's), of the task that asks; nil once another task has closed the server.
static int l_accept(lua_State *L)
{
    server_t *s = server_check(L);
    thread_t *t = thread_check(L);
    if (s->waiter)
        return luaL_error(L, "somebody accepts already");
    if (s->n_queued > 0) {
        sock_t *sock = s->queue[0];
        memmove(s->queue, s->queue + 1, --s->n_queued * sizeof *s->queue);
        csock_adopt(L, t->task, sock);
        return 1;
    }
    s->waiter = t;
    return thread_wait(L, accept_cancel, s);
}

// unlisten(handle): who waits in accept gets nil.
static int l_unlisten(lua_State *L)
{
    server_t *s = server_check(L);
    thread_t *t = s->waiter;
    s->waiter = NULL;
    server_close(s);
    if (t) {
        lua_pushnil(t->co);
        thread_resume(t, 1);
    }
    return 0;
}

// reset(socket): closes it so that the peer sees an abort.
static int l_reset(lua_State *L)
{
    csock_t *s = csock_check(L);
    sock_t *sock = s->sock;
    s->sock = NULL;
    if (sock)
        sock_reset(sock);
    csock_close(s);
    return 0;
}

// ---- the gateway ----

static void on_client(void *arg, sock_t *s)
{
    conn_open(arg, s, false);
}

static void free_flags(void)
{
    for (unsigned i = 0; i < self->n_flags; i++)
        free(self->flags[i]);
    self->n_flags = 0;
}

// Into the state that runs the specs, whatever code of plugins the document holds: the harness loads it from its files.
static int install_document(str_t document, char *why, size_t why_cap)
{
    bridge_t *b = self->worker.script_state;
    b->has_code = false;
    int rc = worker_install(&self->worker, document, why, why_cap);
    ASSERT(self->worker.script_state == b, "the program's own Lua state stays");
    return rc;
}

static int install(buf_t *problems)
{
    worker_t *w = &self->worker;
    loader_input_t in = {.settings = &self->own, .share = lua_share()};
    loader_result_t result;
    char why[2048] = "";
    (void)loader_run(&in, &result);
    int rc = result.errors ? -1 : 0;
    buf_append(problems, buf_str(&result.problems));
    if (rc == 0 && ((rc = worker_use_settings(w, &self->own, why, sizeof why)) != 0 ||
                    (rc = install_document(buf_str(&result.document), why, sizeof why)) != 0))
        buf_append(problems, str_from(why));
    loader_result_dispose(&result);
    return rc;
}

static void forget_gateway(void)
{
    char why[512] = "";
    worker_t *w = &self->worker;
    place_close(&self->plain);
    place_close(&self->tls);
    while (!list_empty(&w->conns))
        conn_close(CONTAINER_OF(w->conns.next, conn_t, links), true);
    int rc = worker_use_settings(w, &self->base, why, sizeof why);
    ASSERT(rc == 0, "settings that were good are good again");
    rc = install_document(str_from(EMPTY), why, sizeof why);
    ASSERT(rc == 0, "an empty configuration is valid");
    settings_dispose(&self->own);
    self->open = false;
}

// 0, or an error with the reason in `problems`.
static int open_gateway(buf_t *problems)
{
    worker_t *w = &self->worker;
    char *why = NULL;
    int rc = settings_load(&self->own, NULL, self->flags, self->n_flags, NULL, &why);
    if (rc != 0) {
        buf_append(problems, str_from(why ? why : "the settings are invalid"));
        free(why);
        settings_dispose(&self->own);
        return rc;
    }
    rc = install(problems);
    if (rc == 0 && ((rc = place_open(&self->plain, NULL, on_client, w)) != 0 ||
                    (rc = place_open(&self->tls, w->tls, on_client, w)) != 0))
        buf_append(problems, str_from(err_text(rc)));
    if (rc != 0)
        forget_gateway();
    else
        self->open = true;
    return rc;
}

static void on_open(io_defer_t *d)
{
    program_t *p = CONTAINER_OF(d, program_t, defer);
    thread_t *t = p->waiter;
    lua_State *co = t->co;
    buf_t problems = {0};
    p->waiter = NULL;
    int rc = open_gateway(&problems);
    free_flags();
    if (rc == 0) {
        lua_pushnumber(co, p->plain.port);
        lua_pushnumber(co, p->tls.port);
    } else {
        lua_pushnil(co);
        push_str(co, buf_str(&problems));
    }
    buf_dispose(&problems);
    thread_resume(t, 2);
}

static void on_close(io_defer_t *d)
{
    program_t *p = CONTAINER_OF(d, program_t, defer);
    thread_t *t = p->waiter;
    p->waiter = NULL;
    forget_gateway();
    thread_resume(t, 0);
}

static void defer_cancel(thread_t *t)
{
    program_t *p = t->op;
    io_defer_stop(&p->defer);
    p->waiter = NULL;
    free_flags();
}

// Runs fn at the end of this turn, on an empty stack; it resumes the caller.
static int wait_for(lua_State *L, void (*fn)(io_defer_t *d))
{
    self->waiter = thread_check(L);
    self->defer.fn = fn;
    io_defer_start(self->worker.loop, &self->defer);
    return thread_wait(L, defer_cancel, self);
}

static void add_flag(const char *text)
{
    ASSERT(self->n_flags < FLAGS_MAX, "the caller has counted the flags");
    size_t n = strlen(text) + 1;
    self->flags[self->n_flags] = mem_alloc(n);
    memcpy(self->flags[self->n_flags++], text, n);
}

// open_gateway({"setting=value", ...}) -> port, TLS port | nil, problems. One at a time.
static int l_open_gateway(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    thread_check(L);
    int n = (int)lua_objlen(L, 1);
    if (self->open || self->waiter)
        return push_error(L, "a gateway runs already");
    if (n > FLAGS_MAX)
        return push_error(L, "too many settings");
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, 1, i);
        const char *text = lua_tostring(L, -1);
        if (text)
            add_flag(text);
        lua_pop(L, 1);
    }
    return wait_for(L, on_open);
}

// close_gateway(): its clients' connections are reset.
static int l_close_gateway(lua_State *L)
{
    thread_check(L);
    return self->open && !self->waiter ? wait_for(L, on_close) : 0;
}

// ---- the program ----

// done(code): the process ends with that code once this turn is over.
static int l_done(lua_State *L)
{
    self->code = (int)luaL_checknumber(L, 1);
    worker_stop(&self->worker);
    return 0;
}

static int l_prefix(lua_State *L)
{
    lua_pushstring(L, self->prefix);
    return 1;
}

static const luaL_Reg FUNCTIONS[] = {
    {"listen", l_listen},
    {"accept", l_accept},
    {"unlisten", l_unlisten},
    {"reset", l_reset},
    {"open_gateway", l_open_gateway},
    {"close_gateway", l_close_gateway},
    {"prefix", l_prefix},
    {"done", l_done},
    {NULL, NULL},
};

static void run_module(bridge_t *b, const char *module, int argc, char **argv)
{
    lua_State *L = b->L;
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    if (lua_pcall(L, 1, 1, 0) != 0 || !lua_isfunction(L, -1)) {
        const char *text = lua_tostring(L, -1);
        fprintf(stderr, "moongate: %s\n", text ? text : "the program is no function");
        lua_settop(L, 0);
        worker_stop(b->worker);
        return;
    }
    task_t *t = task_begin(b, NULL, PHASE_TIMER);
    lua_State *co = task_enter(t)->co;
    lua_rawgeti(co, LUA_REGISTRYINDEX, b->run_ref);
    lua_xmove(L, co, 1);
    lua_newtable(co);
    for (const luaL_Reg *f = FUNCTIONS; f->name; f++) {
        lua_pushcfunction(co, f->func);
        lua_setfield(co, -2, f->name);
    }
    luaL_checkstack(co, argc + 8, "too many arguments");
    for (int i = 0; i < argc; i++)
        lua_pushstring(co, argv[i]);
    task_run(t, argc + 2);
}

static int run_worker(program_t *p, const char *module, int argc, char **argv)
{
    char why[1024] = "";
    worker_opts_t o = {.settings = &p->base,
                       .script = &script_lua,
                       .document = EMPTY,
                       .document_n = sizeof EMPTY - 1,
                       .control_fd = -1};
    if (worker_open(&p->worker, &o, why, sizeof why) != 0) {
        fprintf(stderr, "moongate: cannot start: %s\n", why);
        return 1;
    }
    run_module(p->worker.script_state, module, argc, argv);
    if (!p->worker.stopping)
        loop_run(p->worker.loop);
    loop_turn(p->worker.loop, 0); // what was begun in this turn is under way
    place_close(&p->plain);
    place_close(&p->tls);
    io_defer_stop(&p->defer);
    while (!list_empty(&p->servers))
        server_close(CONTAINER_OF(p->servers.next, server_t, links));
    worker_close(&p->worker);
    if (p->open)
        settings_dispose(&p->own);
    return p->code;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

__attribute__((format(printf, 1, 2))) static void add_base_flag(const char *fmt, ...)
{
    char text[PREFIX_BYTES + 4096];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < (int)sizeof text && self->n_flags < FLAGS_MAX)
        add_flag(text);
}

static void add_places(const settings_t *from)
{
    for (uint32_t i = 0; i < from->n_config_paths; i++)
        add_base_flag("config_paths=%.*s", STR_FMT(from->config_paths[i]));
    for (uint32_t i = 0; i < from->n_plugin_dirs; i++)
        add_base_flag("plugin_dirs=%.*s", STR_FMT(from->plugin_dirs[i]));
    add_base_flag("lua_path=%.*s", STR_FMT(from->lua_path));
    add_base_flag("ca_file=%.*s", STR_FMT(from->ca_file));
    for (uint32_t i = 0; i < from->n_lua_shared_dicts; i++)
        add_base_flag("lua_shared_dicts=%.*s %llu", STR_FMT(from->lua_shared_dicts[i].name),
                      (unsigned long long)from->lua_shared_dicts[i].bytes);
}

// Settings of the process: of the environment only where modules are, logs into its own directory, no limit for Lua.
static int load_base(program_t *p, const settings_t *from)
{
    char *why = NULL;
    add_base_flag("proxy_listen=127.0.0.1:0, 127.0.0.1:0 ssl");
    add_base_flag("log_level=debug");
    add_base_flag("plugin_budget=1h");
    add_base_flag("plugin_memory=8g");
    add_base_flag("admin_listen=off");
    add_base_flag("prefix=%s", p->prefix);
    add_base_flag("error_log=%s/error.log", p->prefix);
    add_base_flag("access_log=%s/access.log", p->prefix);
    const char *modules = from ? NULL : getenv("MOONGATE_LUA_PATH");
    if (modules && *modules)
        add_base_flag("lua_path=%s", modules);
    if (from)
        add_places(from);
    int rc = settings_load(&p->base, NULL, p->flags, p->n_flags, NULL, &why);
    if (rc != 0)
        fputs(why ? why : "moongate: bad settings\n", stderr);
    free(why);
    free_flags();
    return rc;
}

// What a master makes for its workers. 0, or -1 with a line on stderr.
static int open_process(program_t *p, const settings_t *from)
{
    char log[PREFIX_BYTES + 32];
    const char *tmp = getenv("TMPDIR");
    if (snprintf(p->prefix, sizeof p->prefix, "%s/moongate-XXXXXX",
                 tmp && *tmp ? tmp : "/tmp") >= (int)sizeof p->prefix ||
        !mkdtemp(p->prefix)) {
        fprintf(stderr, "moongate: no temporary directory can be made in %s (set TMPDIR)\n",
                tmp && *tmp ? tmp : "/tmp");
        return -1;
    }
    snprintf(log, sizeof log, "%s/error.log", p->prefix);
    if (load_base(p, from) != 0 || log_open(log) != 0)
        return -1;
    log_set_level(LOG_DEBUG);
    node_harden();
    node_init(p->base.prefix);
    if (stats_create(SERIES_MAX) != 0 || dicts_create(&p->base) != 0) {
        fputs("moongate: shared memory cannot be had (see the memory limit)\n", stderr);
        return -1;
    }
    stats_use_slot(0);
    return 0;
}

int program_run(const char *module, int argc, char **argv, const settings_t *from)
{
    program_t *p = mem_zalloc(sizeof *p);
    self = p;
    p->code = 1;
    p->plain.fd = p->tls.fd = -1;
    list_init(&p->servers);
    io_defer_init(&p->defer, on_open);
    int code = open_process(p, from) == 0 ? run_worker(p, module, argc, argv) : 1;
    for (unsigned i = 0; i < SHDICTS_MAX; i++)
        shdict_destroy(shdict_at(i));
    stats_destroy();
    settings_dispose(&p->base);
    if (p->prefix[0])
        nftw(p->prefix, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(p);
    self = NULL;
    return code;
}
