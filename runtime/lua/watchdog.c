// Stops Lua code that runs for too long without waiting. A timer of the process's CPU time ticks; a tick that finds the budget
// spent sets a hook, which raises an error at the next instruction. Compiled loops do not look at hooks, but code compiled while
// the profiler is on looks at the profiler's flag: the same tick raises that, the loop falls back to the interpreter, the hook runs.
// Not for code that blocks in a system call or catches every error: the master kills a worker whose heartbeat is stale.
// Invariant: nothing but the tick is ever done outside of the budget's end, so that it costs nothing.
#include "lua/bridge.h"

#include <luajit.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "base/check.h"
#include "base/clock.h"

enum { TICK_MS = 20 };

static pthread_t lua_thread; // the one that runs Lua
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

static void on_overrun(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    bridge_t *b = bridge_self();
    unsigned ms = b->worker->settings->plugin_budget_ms;
    // The next tick that finds it still running raises again.
    b->run_started_us = clock_mono_us();
    luaL_error(L, "ran for more than %d ms without waiting (plugin_budget)", (int)ms);
}

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
    if (!armed)
        return;
    if (!pthread_equal(pthread_self(), lua_thread)) {
        pthread_kill(lua_thread, signum);
        return;
    }
    bridge_t *b = bridge_self();
    if (!b || !b->run_started_us || !b->running_L)
        return;
    if (!has_overrun(b))
        return;
    lua_sethook(b->running_L, on_overrun, LUA_MASKCOUNT, 1);
    raise(SIGPROF);
}

static void set_timer(unsigned ms)
{
    struct itimerval t = {.it_interval = {.tv_usec = ms * 1000},
                          .it_value = {.tv_usec = ms * 1000}};
    int rc = setitimer(ITIMER_VIRTUAL, &t, NULL);
    ASSERT(rc == 0, "a timer of CPU time is always to be had");
}

void watchdog_start(bridge_t *b)
{
    if (b->worker->settings->plugin_budget_ms == 0)
        return;
    lua_thread = pthread_self();
    // Lines, so that loops within a function look at the flag; its own timer never fires.
    luaJIT_profile_start(b->L, "li1000000", on_sample, NULL);
    struct sigaction sa = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGVTALRM, &sa, NULL);
    armed = 1;
    set_timer(TICK_MS);
}

void watchdog_stop(bridge_t *b)
{
    if (!armed)
        return;
    armed = 0;
    set_timer(0);
    luaJIT_profile_stop(b->L);
}
