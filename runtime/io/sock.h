// A connected byte stream, plain or TLS: the rest of the gateway cannot tell. Listening and
// connecting live here too. No HTTP, no timeouts of its own but the connect and handshake ones.
// Invariants: one owner; after sock_close no callback comes; callbacks may close the socket;
// the socket frees itself in its close callback.
#pragma once

#include "io/addr.h"
#include "io/loop.h"
#include "io/tls.h"

typedef struct sock sock_t;

// What an owner is told. on_data: n > 0 bytes, borrowed (and writable) until return. on_eof:
// the peer ended its side (FIN, close_notify); reading stops. on_error: reading or writing
// failed (ERR_*; with TLS, an end without close_notify, perhaps a truncation, is ERR_EOF); only
// sock_close is allowed after. on_drain: what sock_write had to queue is with the kernel.
// room, which may be NULL, is asked before each read of a plain socket: where the next bytes go,
// lent until the on_data that follows at once and gives that place; NULL: the loop's buffer.
typedef struct sock_events {
    void (*on_data)(sock_t *s, char *data, size_t n);
    void (*on_eof)(sock_t *s);
    void (*on_error)(sock_t *s, int err);
    void (*on_drain)(sock_t *s);
    char *(*room)(sock_t *s, size_t *n);
} sock_events_t;

// Takes over who is told and what sock_owner gives. May be called at any time (a pooled
// connection changes hands).
void sock_own(sock_t *s, const sock_events_t *ev, void *owner);
void *sock_owner(const sock_t *s);
loop_t *sock_loop(const sock_t *s);

// Reading: starts paused. resume/pause cost no system call when followed by each other in one
// turn; all sockets of a loop share one 64 KiB read buffer. After resume, buffered TLS data is
// delivered too (not inside this call).
void sock_resume(sock_t *s);
void sock_pause(sock_t *s);
bool sock_paused(const sock_t *s);

// Writes n slices in order (at most 64), in one system call where possible; what the kernel
// does not take at once is copied and queued. Returns 0, or ERR_* when the connection is broken
// (on_error is then not called for it; what the peer sent before, an early answer perhaps, is
// still delivered to who reads on). sock_pending says how much is queued: a producer that sees
// > 0 stops until on_drain.
int sock_write(sock_t *s, const str_t *iov, unsigned n);
size_t sock_pending(const sock_t *s);

// Half-close after the queue is written (FIN, or close_notify).
void sock_shutdown(sock_t *s);

// Asynchronous close: queued bytes are dropped. No callback comes after this call returns.
void sock_close(sock_t *s);
// Close with RST, so that the peer sees an abort and not an end.
void sock_reset(sock_t *s);
// Lingering close (RFC 9112 9.6): writes the queue, half-closes, reads and drops what still
// comes for at most linger_ms (ends early at the peer's FIN), closes. No callback comes after
// this call returns.
void sock_close_linger(sock_t *s, unsigned linger_ms);

const addr_t *sock_peer(const sock_t *s);
const addr_t *sock_local(const sock_t *s);
bool sock_is_tls(const sock_t *s);
str_t sock_sni(const sock_t *s); // server side: the name the client asked for; empty otherwise
const char *sock_tls_version(const sock_t *s); // "TLSv1.3", or NULL for plain
const char *sock_tls_cipher(const sock_t *s);
int sock_fd(const sock_t *s); // for tests and fd passing

// Options of the kernel's socket, by the names they have there. 0 or ERR_*.
typedef enum sock_option {
    SOCK_KEEPALIVE,
    SOCK_REUSEADDR,
    SOCK_NODELAY,
    SOCK_SNDBUF,
    SOCK_RCVBUF,
    SOCK_KEEPINTVL,
    SOCK_KEEPCNT
} sock_option_t;
int sock_option_get(const sock_t *s, sock_option_t option, int *value);
int sock_option_set(sock_t *s, sock_option_t option, int value);
// Of the application: with TLS, plaintext.
uint64_t sock_bytes_in(const sock_t *s);
uint64_t sock_bytes_out(const sock_t *s);

// Client-side TLS over a connected plain socket whose reading is paused (STARTTLS, cosockets).
// Until done, once and never inside this call, only sock_close is allowed; after an error too.
// Plaintext the peer sent ahead is never delivered. sni: the name to send and verify. why:
// OpenSSL's reason, borrowed, NULL when err is 0. timeout_ms 0: none.
typedef void (*sock_tls_fn)(void *arg, sock_t *s, int err, const char *why);
void sock_start_tls(sock_t *s, tls_ctx_t *ctx, str_t sni, unsigned timeout_ms, sock_tls_fn done,
                    void *arg);
bool sock_tls_resumed(const sock_t *s); // the handshake took up an earlier session
// OpenSSL's verdict on the peer's certificate (X509_V_*), 0: fine, or nothing was asked; *name: it is about the name.
int sock_tls_verdict(const sock_t *s, bool *name);
const char *sock_tls_verdict_text(int verdict); // OpenSSL's words for it, static
// OpenSSL's SSL, for code that knows it (libraries that call OpenSSL themselves); NULL for plain. Borrowed until sock_close.
void *sock_tls_handle(const sock_t *s);

// ---- listening ----
typedef struct listener listener_t;
// What on_hello says of a client's handshake (io/hello.h).
typedef enum hello_result { HELLO_GO, HELLO_REFUSED, HELLO_HELD } hello_result_t;
typedef struct listener_opts {
    int fd;                        // bound and listening (listen_bind); borrowed
    tls_ctx_t *tls;                // NULL: plain; acquired
    unsigned handshake_timeout_ms; // 0: 10 s
    str_t
        plain_answer; // static; with tls: what is sent to who speaks plain HTTP, before the close
    void (*on_accept)(
        void *arg,
        sock_t *s); // s returned owned, reading paused, TLS handshake done; TCP_NODELAY set
    void (*on_tls_error)(void *arg, const addr_t *peer, int err,
                         const char *why); // may be NULL
    // A client's hello is here and its certificate was picked; not when a session is resumed. May be NULL.
    hello_result_t (*on_hello)(void *arg, sock_t *s);
    void (*on_hello_gone)(void *arg, sock_t *s); // a held handshake ended otherwise
    void *arg;
} listener_opts_t;

// Binds and listens: SO_REUSEADDR, optional SO_REUSEPORT, non-blocking, close-on-exec off
// (workers inherit). *fd is the caller's. 0 or ERR_* .
int listen_bind(const addr_t *a, int backlog, bool reuseport, int *fd);
listener_t *listener_start(loop_t *l, const listener_opts_t *o);
void listener_stop(
    listener_t *l); // the descriptor stays open; handshakes under way are dropped
// Pauses/resumes accepting (overload). EMFILE/ENFILE is handled inside: a spare descriptor is
// used to accept and close, no busy loop.
void listener_pause(listener_t *l);
void listener_resume(listener_t *l);

// ---- connecting ----
typedef struct connector connector_t;
typedef struct connect_opts {
    str_t host; // name or IP literal ("[::1]" too) or "unix:/path"; copied
    uint16_t port;
    unsigned timeout_ms; // name + connect + TLS handshake together; 0: 60 s
    tls_ctx_t *tls;      // NULL: plain; acquired
    str_t sni; // server name to send and verify, as in Host (a port is left out); empty: host
    bool (*allow)(void *arg,
                  const addr_t *a); // optional check of each address before connecting (SSRF);
                                    // may be NULL
    void (*on_done)(
        void *arg, int err,
        sock_t *s); // exactly once unless cancelled; err 0: s returned owned, reading paused
    void *arg;
} connect_opts_t;
// Resolves (A and AAAA), tries addresses in turn (next one on failure or after 250 ms without
// answer), TLS handshake. never calls back inside.
connector_t *sock_connect(loop_t *l, const connect_opts_t *o);
void connect_cancel(connector_t *c); // on_done will not be called
// Why the TLS handshake failed, to be asked within on_done ("" after other errors). Borrowed
// until the next failure.
const char *connect_why(const loop_t *l);

// ---- UDP (statsd, syslog, cosockets) ----
typedef struct udp udp_t;
// Descriptor errors and unix paths nobody reads from: NULL. on_datagram may be NULL (send
// only). A send that cannot go at once is dropped with an error; ERR_REFUSED tells of an
// earlier one.
udp_t *udp_open(loop_t *l, const addr_t *peer,
                void (*on_datagram)(void *arg, const char *p, size_t n), void *arg);
// Who is told when reading that an earlier datagram found nobody (ERR_REFUSED, ...); may close the socket.
void udp_on_error(udp_t *u, void (*on_error)(void *arg, int err));
int udp_send(udp_t *u, str_t datagram);
void udp_close(udp_t *u);
