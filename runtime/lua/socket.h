// Cosockets: what socket.c, socket_read.c and socket_pool.c share.
// Invariants: a socket belongs to one task; at most one thread reads, one writes; while a thread waits on a socket its userdata is
// anchored in the registry; a socket that a task leaves behind is closed with the task.
#pragma once

#include "io/sock.h"
#include "lua/bridge.h"

typedef enum read_kind { READ_LINE, READ_BYTES, READ_ALL, READ_ANY, READ_UNTIL } read_kind_t;

typedef struct csock {
    list_t links;      // task->sockets; alone when closed
    uint64_t owner;    // serial of its task; 0: nobody's yet
    sock_t *sock;      // NULL: not connected
    request_t *lender; // whose sock it is: the client's connection (core/raw.h); NULL: its own
    connector_t *connector;             // under way
    thread_t *reader, *writer, *opener; // who waits for what; opener: connect and TLS handshake
    int anchor;                         // registry reference while somebody waits
    unsigned waits;
    buf_t in; // received, not taken yet
    bool eof;
    int err; // of the connection; sticky
    uint32_t connect_ms, send_ms, read_ms;
    // The read under way.
    read_kind_t kind;
    size_t want; // READ_BYTES, READ_ANY; READ_UNTIL: most bytes a piece, 0: no limit
    size_t scanned;
    str_t pattern; // READ_UNTIL; owned copy
    bool inclusive;
    // Keep-alive.
    struct sock_pool *pool; // NULL: in none
    bool seated;            // counted as a connection of the pool
    list_t queue;           // in the pool's waiters; alone else
    io_defer_t turn;        // a seat became free for it
    unsigned reused;
    // Connecting: kept for when its turn comes.
    char *host; // owned
    uint16_t port;
} csock_t;

// The socket of argument 1, which must be this task's.
csock_t *csock_check(lua_State *L);
// Pushes a cosocket of that task over a connected socket (taken): what an accepted connection becomes.
void csock_adopt(lua_State *L, task_t *task, sock_t *sock);
// Pushes a cosocket over the client's connection, which it borrows until it is closed.
void csock_borrow(lua_State *L, task_t *task);
// Text of an error as OpenResty words it.
const char *csock_error(int err);
// Pushes nil and why a connection to that host could not be had (a code of sock_connect or dns_lookup); 2.
int csock_push_unresolved(lua_State *L, const char *host, int err);
char *csock_copy(str_t s); // with a NUL, returned owned (free)
// Closes the connection; waits under way end with "closed" only if `cancel` is false.
void csock_close(csock_t *s);
// Begins and ends a thread's wait on it.
int csock_wait(lua_State *L, csock_t *s, thread_t **place, uint32_t timeout_ms,
               void (*on_timeout)(io_timer_t *));
thread_t *csock_end_wait(csock_t *s, thread_t **place);
// Events of a connected socket.
extern const sock_events_t csock_events;

// ---- socket_read.c ----
// Tries to satisfy the read from what has come; pushes its results on L and gives their number, or 0: more is needed.
int csock_try_read(csock_t *s, lua_State *L);
// Results for a read that cannot be satisfied any more: nil, why, what came.
int csock_push_partial(csock_t *s, lua_State *L, const char *why);
extern const luaL_Reg csock_read_methods[];

// ---- socket_tls.c ----
extern const luaL_Reg csock_tls_methods[];

// ---- socket_pool.c ----
typedef struct sock_pool sock_pool_t;
typedef enum sockpool_entry { POOL_SEATED, POOL_QUEUED, POOL_FULL } sockpool_entry_t;
// Puts the cosocket into the pool of that key. A pool that is made by this keeps at most `size` idle connections (0: as the first
// sockpool_put says); with a backlog that is not negative it has at most `size` connections, `backlog` cosockets wait for one (s->turn
// runs when it is theirs, seated), and more are not let in (POOL_FULL).
sockpool_entry_t sockpool_enter(bridge_t *b, csock_t *s, str_t key, unsigned size, int backlog);
// An idle connection for a seated cosocket, with s->reused set; NULL when there is none.
sock_t *sockpool_take(csock_t *s);
// Keeps the cosocket's connection in its pool for at most idle_ms (0: no limit); the pool has room for `size`, the oldest goes first.
void sockpool_put(csock_t *s, unsigned size, uint32_t idle_ms);
// Out of the pool, if in one: whoever waits for a seat has the next turn.
void sockpool_leave(csock_t *s);
