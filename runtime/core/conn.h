// A client's connection: collects heads, feeds bodies, one request at a time, pipelined bytes kept in order.
// Idle it is one conn_t and one sock_t (under 1 KiB together).
#pragma once

#include "core/request.h"
#include "io/sock.h"

struct conn {
    worker_t *worker;
    sock_t *sock;
    list_t links;   // worker->conns
    request_t *req; // the one under way, or NULL
    char *in;       // bytes not used yet (part of a head, or pipelined), owned, NULL when none
    uint32_t in_n, in_cap;
    uint32_t scanned; // head_find_end's memory
    uint32_t served;  // requests begun
    io_timer_t timer; // reading: header, keep-alive or body deadline, or the look for a hang-up
    io_timer_t write_timer;  // a slow reader's deadline
    uint64_t old_at_ms;      // when it has reached its greatest age; 0: never
    int64_t taken;           // bytes the client's kernel had taken when write_timer was set
    uint16_t port;           // of the listener
    bool tls, closing, busy; // busy: inside conn_advance
    bool status;             // came in on a status listener
    bool heading;            // a head is under way: its deadline is absolute
    bool paused;             // not read now: the timer looks whether the client is still there
    bool half_closed;        // the client has ended its side and awaits its answer
    const sock_events_t *lent;  // of who has the connection (raw.h); NULL: ours
    uint64_t lent_in, lent_out; // the socket's counts then
    bool leaving; // closes once the client has taken what is queued; what it sends is dropped
};

// Takes over an accepted socket. status: it came in on a status listener.
void conn_open(worker_t *w, sock_t *s, bool status);
// The request has ended: keep alive and go on with pipelined bytes, or leave (linger: the client may still be sending).
void conn_request_ended(conn_t *c, bool keep_alive, bool linger);
// Closes now; what is queued is lost. reset: so that the client sees an abort.
void conn_close(conn_t *c, bool reset);
// Closes a connection without a request once the client has taken what is queued, within send_timeout_ms between bytes.
void conn_leave(conn_t *c, bool linger);
// Events go to `ev` and `owner`, and no deadline of ours runs, until conn_take_back; paused. Bytes that wait here are appended to *early.
void conn_lend(conn_t *c, const sock_events_t *ev, void *owner, buf_t *early);
// Whoever has it does not read it now, and wants to hear within 100 ms all the same that the client broke off.
void conn_watch_lent(conn_t *c);
// Ours again, paused: it closes when its request ends. How much came and went meanwhile.
void conn_take_back(conn_t *c, uint64_t *in, uint64_t *out);
// Whether it has reached max_connection_age: its next answer is its last.
bool conn_is_old(const conn_t *c);
// Whether the process may not end yet for its sake: bytes are queued for the client, or part of a head is here.
bool conn_has_work(const conn_t *c);
// The request wants more of its body: read on, within body_timeout_ms between bytes.
void conn_read_body(conn_t *c);
// The request has as much of its body as it can hold: stop reading until conn_read_body.
void conn_pause_body(conn_t *c);
// Bytes wait for a client that reads slowly: it has send_timeout_ms to take some, each time.
void conn_watch_writer(conn_t *c);
