// Stops plugins' code that runs for too long without waiting, or takes too much memory (heap.c tells). A timer of the thread's CPU
// time ticks, the kernel's work for it included; a tick that finds the budget spent sets a hook, which raises an error at the next instruction. Compiled loops do not
// look at hooks, but code compiled while the profiler is on looks at the profiler's flag: the same tick raises that, the loop falls
// back to the interpreter, the hook runs. Not for code that blocks in C: the master kills a worker whose heartbeat is stale.
// Invariant: once stopped, a run is not Lua code of plugins any more: whatever catches the error meets it again.
#include "lua/bridge.h"

#include <luajit.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "lua/script.h"

enum { TICK_MS = 10 };

static timer_t tick_timer;
static volatile sig_atomic_t armed;
static volatile uint64_t counted_run; // the run that `ticks` is of
static volatile unsigned ticks;

static void on_sample(void *data, lua_State *L, int samples, int vmstate)
{
    (void)data;
    (void)L;
    (void)samples;
    (void)vmstate;
}

// ---- the hook ----

typedef enum origin {
    ORIGIN_GUEST,
    ORIGIN_OWN, // may take long for what plugins' code gives it: stopped as well, but let write the log then
    ORIGIN_RUNNER, // calls plugins' code and takes its errors: never stopped
} origin_t;

static bool starts_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static origin_t origin_of(lua_State *L, lua_Debug *ar)
{
    const char *share = lua_share();
    if (!lua_getinfo(L, "S", ar))
        return ORIGIN_GUEST;
    if (starts_with(ar->source, "=chain:"))
        return ORIGIN_RUNNER;
    if (ar->source[0] != '@' || !starts_with(ar->source + 1, share))
        return ORIGIN_GUEST;
    const char *path = ar->source + 1 + strlen(share);
    if (strcmp(path, "/lualib/boot.lua") == 0)
        return ORIGIN_RUNNER;
    return starts_with(path, "/lualib/") || starts_with(path, "/plugins/") ? ORIGIN_OWN
                                                                           : ORIGIN_GUEST;
}

static void unhook(bridge_t *b)
{
    lua_sethook(b->L, NULL, 0, 0);
    b->stop = STOP_NOT;
    b->stop_told = false;
}

// Garbage does not count: only what is in use after a collection. A quarter must be free then, or the next collection is near.
static bool was_garbage(lua_State *L, bridge_t *b)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    return b->heap.bytes + b->worker->settings->plugin_memory_bytes / 4 <= b->heap.soft;
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
    bridge_t *b = bridge_self();
    const settings_t *s = b->worker->settings;
    // A tick during the collection may have made it a matter of time.
    if (b->stop == STOP_MEMORY && !b->stop_told && was_garbage(L, b) &&
        b->stop == STOP_MEMORY) {
        unhook(b);
        return;
    }
    origin_t origin = origin_of(L, ar);
    if (origin == ORIGIN_RUNNER || (b->stop_told && origin == ORIGIN_OWN))
        return;
    b->stop_told = true;
    if (b->stop == STOP_MEMORY)
        luaL_error(L, "took more than %d kB of memory without waiting (plugin_memory)",
                   (int)(s->plugin_memory_bytes / 1024));
    luaL_error(L, "ran for more than %d ms without waiting (plugin_budget)",
               (int)s->plugin_budget_ms);
}

static void hook(bridge_t *b, stop_t why)
{
    // A tick amid LuaJIT's own change of its dispatch table may be lost: off and on again makes it write the table anew.
    if (b->stop != STOP_NOT)
        lua_sethook(b->running_L, NULL, 0, 0);
    b->stop = why;
    lua_sethook(b->running_L, on_hook, LUA_MASKCOUNT, 1);
    raise(SIGPROF);
}

// ---- time ----

// CPU time, and not only time, has gone by: a machine that is short of CPU makes nobody run away.
static bool has_overrun(bridge_t *b)
{
    uint64_t started = b->run_started_us, budget_ms = b->worker->settings->plugin_budget_ms;
    if (counted_run != started) {
        counted_run = started;
        ticks = 0;
    }
    ticks++;
    return ticks * TICK_MS >= budget_ms && clock_mono_us() - started >= budget_ms * 1000;
}

// Signal handler: only async-signal-safe calls and lua_sethook, which is made for this.
static void on_tick(int signum)
{
    (void)signum;
    if (!armed)
        return;
    bridge_t *b = bridge_self();
    if (!b || !b->run_started_us || !b->running_L)
        return;
    if (!has_overrun(b))
        return;
    // It may be in the gateway's own code since: that is stopped too.
    b->stop_told = false;
    hook(b, STOP_TIME);
}

// Of this thread, and told to it: what other threads do meanwhile is nobody's overrun.
static void start_ticks(void)
{
    struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGVTALRM, &sa, NULL);
    struct sigevent told = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGVTALRM};
    told._sigev_un._tid = gettid(); // has no other name in this C library
    int rc = timer_create(CLOCK_THREAD_CPUTIME_ID, &told, &tick_timer);
    ASSERT(rc == 0, "a timer of CPU time is always to be had");
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    rc = timer_settime(tick_timer, 0, &(struct itimerspec){tick, tick}, NULL);
    ASSERT(rc == 0, "a timer takes an interval");
}

// ---- memory ----

void watchdog_memory(bridge_t *b)
{
    ASSERT(b->running_L, "memory is limited while Lua code runs");
    if (armed && b->stop == STOP_NOT)
        hook(b, STOP_MEMORY);
}

// ---- life ----

void watchdog_run_over(bridge_t *b)
{
    ASSERT(b->stop != STOP_NOT, "only a run that was stopped");
    unhook(b);
    // Whatever stopped it: the next collection would be due at twice of what it left.
    lua_gc(b->L, LUA_GCCOLLECT, 0);
}

void watchdog_start(bridge_t *b)
{
    if (b->worker->settings->plugin_budget_ms == 0)
        return;
    // Lines, so that loops within a function look at the flag; its own timer never fires.
    luaJIT_profile_start(b->L, "li1000000", on_sample, NULL);
    start_ticks();
    armed = 1;
}

void watchdog_stop(bridge_t *b)
{
    if (!armed)
        return;
    armed = 0;
    timer_delete(tick_timer);
    luaJIT_profile_stop(b->L);
    // Not looked at from now on, compiled loops could not be stopped: what is left of this state's life is interpreted.
    luaJIT_setmode(b->L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
}
