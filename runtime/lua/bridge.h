// What the files of this room share: a worker's Lua states (one for each code of plugins that is in use), tasks (the Lua side of one request or one timer) and
// threads (the coroutines that C resumes). Nobody outside includes it.
// Invariants: bridge->task is set exactly while Lua code of that task runs; a thread that waits has a cancel function;
// code after a wait may never run, so whatever a wait holds is released by its cancel function, not by Lua.
#pragma once

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <stdint.h>

#include "abi.h"
#include "base/buf.h"
#include "base/list.h"
#include "core/hello.h"
#include "core/request.h"
#include "core/worker.h"

typedef struct bridge bridge_t;
typedef struct task task_t;
typedef struct thread thread_t;

typedef enum thread_state {
    THREAD_IDLE,    // in the pool, or not yet run
    THREAD_RUNNING, // inside lua_resume (maybe below another one)
    THREAD_WAITING, // `cancel` is set
    THREAD_ENDED,   // results are on its stack
    THREAD_DEAD,    // killed or failed: never resumed again
} thread_state_t;

// One coroutine that C resumes: a chain, a timer's function, a light thread.
struct thread {
    task_t *task;
    lua_State *co;
    int ref;      // anchors co in the registry
    list_t links; // task->threads, or bridge->pool
    thread_state_t state;
    bool ok;                     // ended without an error
    bool collected;              // its results were given to a waiter
    uint32_t serial;             // distinguishes uses of the same memory
    thread_t *waiter;            // the thread that waits for this one's end
    void (*cancel)(thread_t *t); // of the wait under way; it must not run Lua
    void *op;                    // the wait's own
    io_timer_t timer;            // sleep and time limits
    io_defer_t defer;            // resumes at the end of this turn
};

typedef enum leave {
    LEAVE_NOT,
    LEAVE_STOP,  // the chain ends as if it had run to its end
    LEAVE_EXIT,  // answer with exit_*
    LEAVE_ERROR, // answer with the gateway's error body
    LEAVE_GONE,  // the request ended meanwhile: just unwind
} leave_t;

struct task {
    bridge_t *bridge;
    request_t *req;  // NULL: a timer, init_worker, a handshake
    hello_t *hello;  // the client's handshake that it decides on, or NULL
    uint64_t serial; // never used again, unlike the task's memory
    int32_t slot;
    bool slot_used;
    bool sync;    // its outcome is returned, not called back
    bool settled; // the chain's outcome is known
    uint32_t phase;
    uint32_t running; // lua_resume levels
    uint32_t
        resuming; // thread_resume levels: the outermost settles the outcome, which may end the task
    uint32_t plugin_row; // of the plugin that waits; 0: none that is watched
    thread_t *entry;
    list_t threads; // alive ones, entry included
    list_t sockets; // cosockets bound to the task
    list_t procs;   // programs it started (pipe.c)
    leave_t leave;
    unsigned exit_status;
    str_t exit_body, exit_type; // in the request's arena
    bool has_exit;              // header_filter replaced the body by exit_body
    bool exit_sent;
    bool filter_ended; // body_filter saw or set the end: what still comes is dropped
    uint64_t timer_id;
    list_t links; // bridge->tasks, when without request
};

enum { POOL_MAX = 256, STACK_SLOTS_MAX = 1000, SHD_MAX = 64 };

// The memory of one Lua state (heap.c).
typedef struct heap {
    lua_Alloc alloc; // LuaJIT's own
    void *alloc_data;
    uint64_t bytes;      // in use
    uint64_t soft, hard; // of what runs; UINT64_MAX: no limit
} heap_t;

// Why the code that runs has been stopped (watchdog.c).
typedef enum stop { STOP_NOT, STOP_TIME, STOP_MEMORY } stop_t;

struct bridge {
    mg_state_t state; // what Lua reads in place
    worker_t *worker;
    lua_State *L;     // the main state: phases that may not wait run on it
    task_t *task;     // the running one
    thread_t *thread; // the running one; NULL on the main state
    list_t pool;      // idle threads
    unsigned pooled;
    list_t tasks;         // tasks without request
    list_t generations;   // script_generation_t.links
    list_t socket_pools;  // of cosockets (socket_pool.c)
    list_t cert_contexts; // of cosockets with a client certificate (socket_tls.c)
    list_t timers;        // pending (timer.c)
    unsigned timers_pending, timers_running;
    uint64_t
        finish_at_ms; // when what still waits is cancelled, loop_now_ms; 0: the worker goes on
    struct tls_ctx *client_tls[2]; // of cosockets: without and with verification
    int32_t *free_slots;           // stack of slots
    uint32_t n_free_slots, n_slots;
    // Lua functions and tables, by registry reference.
    int run_ref, on_error_ref, timer_main_ref, install_ref, start_ref, slots_ref;
    unsigned n_slot_tables;
    str_t chunk; // in body_filter: what the next plugin sees
    bool chunk_eof, chunk_changed;
    buf_t chunk_buf;
    buf_t scratch;                    // results of FFI functions that have to be built
    volatile uint64_t run_started_us; // of the Lua code that runs, monotonic; 0: none runs
    lua_State *volatile running_L;    // where its hook is set
    uint32_t *plugin_row;    // which plugin runs, seen by the master (core/quarantine.h)
    volatile stop_t stop;    // of what runs
    volatile bool stop_told; // the error was raised
    heap_t heap;
    generation_t *installing; // what entities are asked of while a generation is being prepared
    bool closing;
    bool
        retired; // another state is the newest; closed when the last generation of this one has gone
    bridge_t *older;      // the state before this one, if it is not closed yet
    io_timer_t end_timer; // of its end
    char code_hash[65];   // of the plugins' code it runs; "" none was read
    bool has_code;        // code_hash is known
    uint32_t serial;
    uint64_t task_serial;
    uint64_t wall_us; // of ngx.now
};

// The state whose code runs; outside of Lua the newest.
static inline bridge_t *bridge_self(void)
{
    return worker_self ? worker_self->script_state : NULL;
}

// Until bridge_leave, b is bridge_self(). Nests.
static inline bridge_t *bridge_enter(bridge_t *b)
{
    bridge_t *before = b->worker->script_state;
    b->worker->script_state = b;
    return before;
}

static inline void bridge_leave(bridge_t *b, bridge_t *before)
{
    b->worker->script_state = before;
}

// Bytes of the body as it goes upstream now (abi_request.c).
uint64_t body_size(request_t *r);

// The handshake that the running code decides on, or NULL.
static inline hello_t *current_hello(void)
{
    bridge_t *b = bridge_self();
    return b && b->task ? b->task->hello : NULL;
}

// The current request, or NULL.
static inline request_t *current_request(void)
{
    bridge_t *b = bridge_self();
    return b && b->task ? b->task->req : NULL;
}

// ---- tasks and threads (co.c) ----

// Begins a task; req NULL for one without request.
task_t *task_begin(bridge_t *b, request_t *req, uint32_t phase);
// Ends it: threads and sockets are closed, its Lua tables forgotten. Not while it runs.
void task_end(task_t *t);
// The request's task, made when it has none yet.
task_t *task_of(bridge_t *b, request_t *r);

// Makes the task's entry thread; push the function and its arguments on thread->co, then task_run.
thread_t *task_enter(task_t *t);
// Runs the entry until it ends or waits. SCRIPT_RESPONDED: a response was begun or the request is finished.
script_result_t task_run(task_t *t, int nargs);

// A light thread of the running task; run it with thread_run.
thread_t *thread_create(task_t *t);
void thread_run(thread_t *t, int nargs);
void thread_kill(thread_t *t);
// Gives an ended, collected or dead light thread back.
void thread_release(thread_t *t, bool recycle);

// Called by a C function that began a wait: yields the running thread. The values pushed on thread->co before thread_resume
// are what the C function seems to return.
int thread_wait(lua_State *L, void (*cancel)(thread_t *t), void *op);
// The wait is over; nargs values were pushed on t->co. The last thing that the completion does: the task may be gone after.
void thread_resume(thread_t *t, int nargs);
// Unwinds the whole task out of the running C function; use as `return task_leave(L, how)`.
int task_leave(lua_State *L, leave_t how);
// Raises unless the current code may wait.
thread_t *thread_check(lua_State *L);
// A light thread has ended: resumes the thread that waits for it, if any (native_wait.c).
void thread_notify(thread_t *t);
// Kills all threads and cancels their waits; closes sockets.
void task_kill(task_t *t);

// Calls the function and nargs arguments on the stack of the main state as the task's phase; pops them. 0, or -1 (logged).
int task_call(task_t *t, uint32_t phase, int nargs, int nresults);

// ---- phases (phases.c) ----
typedef enum chain {
    CHAIN_CERTIFICATE,
    CHAIN_ACCESS,
    CHAIN_BALANCER,
    CHAIN_RESPONSE,
    CHAIN_HEADER_FILTER,
    CHAIN_BODY_FILTER,
    CHAIN_LOG,
    CHAIN_COUNT
} chain_t;

// What a generation owns in Lua.
typedef struct script_generation {
    bridge_t *bridge; // NULL once the state is closed
    list_t links;
    uint64_t number;
    int chains_ref
        [CHAIN_COUNT]; // tables: route index (1-based; n_routes + 1: no route) -> function or false
    int compile_ref; // compile(route index): fills the tables
    int forget_ref;  // forget()
} script_generation_t;

script_result_t phases_enter_certificate(hello_t *h);
void phases_abort_certificate(hello_t *h);
script_result_t phases_enter_access(request_t *r);
script_result_t phases_enter(request_t *r, uint32_t phase);
script_result_t phases_body_filter(request_t *r, str_t chunk, bool *eof, str_t *out);
int phases_install(bridge_t *b, generation_t *g, char *why, size_t why_cap);
void phases_close(bridge_t *b);
// state.c: the last generation of a retired state has gone.
void bridge_end_soon(bridge_t *b);

// ---- native functions, by file: NULL-terminated lists for moongate.native ----
extern const luaL_Reg native_request[], native_respond[], native_node[], native_shdict[],
    native_wait[], native_timer[], native_socket[], native_udp[], native_crypto[],
    native_regex[], native_entity[], native_co[], native_file[], native_ai[], native_upstream[],
    native_dns[], native_volume[], native_guard[], native_admin[], native_pipe[],
    native_body_file[];
// Makes the metatable of a userdata type. methods: NULL-terminated list of lists; gc: its __gc.
void bridge_open_type(lua_State *L, const char *name, lua_CFunction gc,
                      const luaL_Reg *const *methods);
void socket_open_types(lua_State *L);
void udp_open_type(lua_State *L);
void pipe_open_type(lua_State *L);
void regex_open_type(lua_State *L);
void timers_finish(bridge_t *b); // runs what is pending with premature true
// Stops code that runs longer than plugin_budget_ms without waiting (watchdog.c).
void watchdog_start(bridge_t *b);
void watchdog_stop(bridge_t *b);
// The code that runs has taken more memory than it may: it is stopped.
void watchdog_memory(bridge_t *b);
// What was stopped has ended; b->stop is STOP_NOT from now on.
void watchdog_run_over(bridge_t *b);
// Counts the state's memory from now on; before lua_close: its own allocator again (heap.c).
void heap_init(bridge_t *b);
void heap_dispose(bridge_t *b);
// What runs may take so many bytes more than now; 0: no limit.
void heap_limit(heap_t *h, uint64_t growth);
void heap_unlimit(heap_t *h);
void socket_pools_close(bridge_t *b);
void socket_contexts_close(bridge_t *b);
// Closes every socket of the list (a task's).
void sockets_close(list_t *sockets);
// Kills every program of the list (a task's).
void procs_close(list_t *procs);
// Keeps abi.c linked where nobody else refers to it.
mg_state_t *mg_state(void);
// The generation that entities are asked of: the current request's, or the one in use.
generation_t *current_generation(void);

// ---- arguments ----
static inline str_t arg_str(lua_State *L, int i)
{
    size_t n = 0;
    const char *p = luaL_checklstring(L, i, &n);
    return str_make(p, n);
}

// As arg_str; {NULL, 0} for nil or none.
static inline str_t arg_str_opt(lua_State *L, int i)
{
    return lua_isnoneornil(L, i) ? str_make(NULL, 0) : arg_str(L, i);
}

static inline void push_str(lua_State *L, str_t s)
{
    lua_pushlstring(L, s.p ? s.p : "", s.n);
}

// nil, text
int push_error(lua_State *L, const char *text);
// The current request, or a Lua error.
request_t *request_check(lua_State *L);
