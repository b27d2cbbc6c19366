// The byte pump of TLS: OpenSSL reads from the loop's read buffer and writes into a shared one,
// without buffers of its own for a connection at rest. Contexts and certificates are in tls.c.
// Invariant: each step takes the input it is given, writes what OpenSSL produced, then calls
// the owner, last of all.
#include "io/tls_pump.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdio.h>

#include "base/check.h"
#include "io/hello.h"
#include "io/tls_impl.h"

enum { RECORD_BYTES = 16 * 1024, PLAIN_BYTES = 64 * 1024, OUT_KEEP_BYTES = 256 * 1024 };

// One a loop: what only lives during a step.
struct tls_scratch {
    BIO_METHOD *method;
    buf_t out;                 // ciphertext of this step
    char plain[PLAIN_BYTES];   // what was decrypted, on its way to the owner
    char gather[RECORD_BYTES]; // small slices become one record
};

struct tls_conn {
    SSL *ssl;
    sock_t *s;
    tls_ctx_t *ctx; // acquired
    char *name;     // owned; client: the server's
    const char *in; // input of this step: the loop's read buffer or `held`, borrowed
    size_t in_n;
    buf_t held;         // input that came, or was left, while the owner was paused
    io_defer_t deliver; // start of the handshake, and delivery after a resume
    io_timer_t deadline;
    sock_tls_fn done; // NULL after the handshake
    void *arg;
    hello_result_t (*on_hello)(void *arg, sock_t *s);
    void (*on_gone)(void *arg, sock_t *s);
    void *hello_arg;
    enum { ASK_NOT, ASK_DUE, ASK_HELD, ASK_GO, ASK_REFUSED } ask;
    bool more;     // decrypting stopped because the owner paused
    bool wire_end; // FIN came
    bool ended;    // the owner has been told of the end
    bool notified; // close_notify was sent
};

// ---- OpenSSL's view of the wire ----

static int bio_read(BIO *b, char *out, int cap)
{
    tls_conn_t *c = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (c->in_n == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    size_t n = c->in_n < (size_t)cap ? c->in_n : (size_t)cap;
    memcpy(out, c->in, n);
    c->in += n;
    c->in_n -= n;
    return (int)n;
}

static struct tls_scratch *scratch_of(tls_conn_t *c)
{
    return sock_loop(c->s)->tls;
}

static int bio_write(BIO *b, const char *data, int n)
{
    BIO_clear_retry_flags(b);
    buf_append(&scratch_of(BIO_get_data(b))->out, str_make(data, (size_t)n));
    return n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static void scratch_destroy(struct tls_scratch *t)
{
    BIO_meth_free(t->method);
    buf_dispose(&t->out);
    free(t);
}

static struct tls_scratch *scratch_ensure(loop_t *l)
{
    if (l->tls)
        return l->tls;
    struct tls_scratch *t = mem_alloc(sizeof *t);
    t->out = (buf_t){0};
    t->method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "moongate loop");
    ASSERT(t->method, "memory for a BIO method");
    BIO_meth_set_read(t->method, bio_read);
    BIO_meth_set_write(t->method, bio_write);
    BIO_meth_set_ctrl(t->method, bio_ctrl);
    l->tls = t;
    l->tls_destroy = scratch_destroy;
    return t;
}

// Sends what OpenSSL wrote in this step. 0 or ERR_*.
static int flush(tls_conn_t *c)
{
    struct tls_scratch *t = scratch_of(c);
    if (t->out.n == 0 || c->s->fin_sent) {
        buf_clear(&t->out); // after our FIN nothing can be answered any more
        return 0;
    }
    str_t bytes = buf_str(&t->out);
    uv_buf_t b = {.base = (char *)bytes.p, .len = bytes.n};
    int rc = sock_raw_write(c->s, &b, 1);
    if (t->out.cap > OUT_KEEP_BYTES)
        buf_dispose(&t->out);
    else
        buf_clear(&t->out);
    return rc;
}

// ---- handshake ----

// What is decided on a hello comes too late.
static void forget_hello(tls_conn_t *c)
{
    if (c->ask == ASK_HELD)
        c->on_gone(c->hello_arg, c->s);
    c->ask = ASK_NOT;
}

static void end_handshake(tls_conn_t *c, int err, const char *why)
{
    forget_hello(c);
    sock_tls_fn done = c->done;
    c->done = NULL;
    c->s->paused = true;
    io_timer_stop(&c->deadline);
    if (err)
        io_defer_stop(&c->deliver);
    done(c->arg, c->s, err, why);
}

static void handshake_failed(tls_conn_t *c)
{
    char why[160];
    bool verify = SSL_get_verify_result(c->ssl) != X509_V_OK &&
                  SSL_get_verify_mode(c->ssl) != SSL_VERIFY_NONE;
    bool plain = !c->name && tls_got_http();
    tls_reason(c->ssl, why, sizeof why);
    if (c->name)
        tls_forget_session(c->ctx, c->name);
    end_handshake(c, verify ? ERR_TLS_VERIFY : plain ? ERR_TLS_PLAIN : ERR_TLS_HANDSHAKE, why);
}

static void on_deadline(io_timer_t *t)
{
    end_handshake(CONTAINER_OF(t, tls_conn_t, deadline), ERR_TIMEOUT, "handshake timed out");
}

// OpenSSL asks before it chooses its certificate, and again each time it is called while there is no answer. Nobody is asked from
// within it: the scratch may hold bytes of this step.
static int on_cert(SSL *ssl, void *arg)
{
    tls_conn_t *c = arg;
    (void)ssl;
    if (c->ask == ASK_NOT)
        c->ask = ASK_DUE;
    return c->ask == ASK_GO ? 1 : c->ask == ASK_REFUSED ? 0 : -1;
}

// True when the handshake can go on now.
static bool ask(tls_conn_t *c)
{
    if (c->ask != ASK_DUE)
        return false; // held
    hello_result_t result = c->on_hello(c->hello_arg, c->s);
    c->ask = result == HELLO_GO ? ASK_GO : result == HELLO_HELD ? ASK_HELD : ASK_REFUSED;
    return c->ask != ASK_HELD;
}

static void handshake(tls_conn_t *c)
{
    if (!c->ssl) {
        end_handshake(c, ERR_INVALID, "the server name cannot be sent");
        return;
    }
    ERR_clear_error();
    int rc = SSL_do_handshake(c->ssl);
    int code = SSL_get_error(c->ssl, rc);
    int write_err = flush(c); // an alert goes out too
    if (rc == 1 && write_err == 0) {
        end_handshake(c, 0, NULL);
    } else if (rc != 1 && code == SSL_ERROR_WANT_X509_LOOKUP && write_err == 0) {
        if (ask(c))
            handshake(c);
    } else if (rc != 1 && code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_X509_LOOKUP) {
        handshake_failed(c);
    } else if (write_err) {
        ERR_clear_error();
        end_handshake(c, write_err, err_text(write_err));
    }
}

// ---- reading ----

// Decrypts into the scratch until it is full or the input is used up. The number of bytes;
// *code tells why it stopped.
static size_t decrypt(tls_conn_t *c, int *code)
{
    char *plain = scratch_of(c)->plain;
    size_t n = 0, got;
    *code = SSL_ERROR_NONE;
    while (n < PLAIN_BYTES) {
        ERR_clear_error();
        if (SSL_read_ex(c->ssl, plain + n, PLAIN_BYTES - n, &got) != 1) {
            *code = SSL_get_error(c->ssl, 0);
            break;
        }
        n += got;
    }
    return n;
}

// The owner has everything up to here, and decrypting ended with `code`. May close the socket.
static void after_input(tls_conn_t *c, int code)
{
    sock_t *s = c->s;
    c->ended = code != SSL_ERROR_WANT_READ || c->wire_end;
    if (code == SSL_ERROR_ZERO_RETURN) {
        sock_ended(s);
    } else if (code != SSL_ERROR_WANT_READ) {
        ERR_clear_error();
        sock_fail(s, ERR_PROTOCOL);
    } else if (c->wire_end) {
        sock_fail(s, ERR_EOF); // no close_notify: perhaps cut off
    }
}

// Delivers what the input holds, as long as the owner wants it. May close the socket.
static void deliver(tls_conn_t *c)
{
    sock_t *s = c->s;
    while (!s->paused) {
        int code;
        size_t n = decrypt(c, &code);
        int err = flush(c); // answers of the protocol itself: key updates, alerts
        if (n > 0) {
            s->bytes_in += n;
            s->ev->on_data(s, scratch_of(c)->plain, n);
        }
        if (s->closing || s->linger)
            return;
        if (err && !s->paused) {
            sock_fail(s, err);
            return;
        }
        if (code != SSL_ERROR_NONE && !s->paused) {
            c->more = false;
            after_input(c, code);
            return;
        }
    }
    c->more = true;
}

static void feed(tls_conn_t *c, const char *data, size_t n)
{
    sock_t *s = c->s;
    c->in = data;
    c->in_n = n;
    if (c->done)
        handshake(c);
    if (!s->closing && !s->linger && !s->read_failed && !c->done)
        deliver(c);
    if (!s->closing && c->in_n > 0)
        buf_append(&c->held, str_make(c->in, c->in_n));
    c->in_n = 0;
}

void pump_feed(tls_conn_t *c, char *data, size_t n)
{
    if (c->held.n == 0) {
        feed(c, data, n);
        return;
    }
    buf_append(&c->held, str_make(data, n)); // in order: behind what waits already
    if (!c->s->paused)
        io_defer_start(sock_loop(c->s), &c->deliver);
}

static void on_deliver(io_defer_t *d)
{
    tls_conn_t *c = CONTAINER_OF(d, tls_conn_t, deliver);
    buf_t held = c->held;
    c->held = (buf_t){0};
    str_t bytes = buf_str(&held);
    feed(c, bytes.p, bytes.n);
    buf_dispose(&held);
}

void pump_resume(tls_conn_t *c)
{
    if (!c->ended && (c->more || c->held.n > 0 || c->wire_end))
        io_defer_start(sock_loop(c->s), &c->deliver);
}

void pump_end(tls_conn_t *c)
{
    c->wire_end = true;
    if (c->done)
        end_handshake(c, ERR_TLS_HANDSHAKE, "connection closed during the handshake");
    else if (!c->deliver.pending) // else what waits comes first
        after_input(c, SSL_ERROR_WANT_READ);
}

void pump_failed(tls_conn_t *c, int err)
{
    ASSERT(c->done, "after the handshake the owner is told");
    end_handshake(c, err, err_text(err));
}

// ---- writing ----

static int encrypt(tls_conn_t *c, const char *p, size_t n)
{
    size_t written;
    ERR_clear_error();
    if (n == 0 || SSL_write_ex(c->ssl, p, n, &written) == 1)
        return 0;
    ERR_clear_error();
    c->s->write_failed = true;
    return ERR_RESET; // the connection was shut down or failed before
}

int pump_write(tls_conn_t *c, const str_t *iov, unsigned n)
{
    char *gather = scratch_of(c)->gather;
    size_t have = 0;
    int rc = 0;
    ASSERT(!c->done, "nothing is written during the handshake");
    for (unsigned i = 0; i < n && rc == 0; i++) {
        str_t left = iov[i];
        while (left.n > 0 && rc == 0) {
            size_t take = have == 0 ? left.n / RECORD_BYTES * RECORD_BYTES : 0;
            if (take > 0) {
                rc = encrypt(c, left.p, take);
            } else {
                take = left.n < RECORD_BYTES - have ? left.n : RECORD_BYTES - have;
                memcpy(gather + have, left.p, take);
                have += take;
            }
            if (have == RECORD_BYTES) {
                rc = encrypt(c, gather, have);
                have = 0;
            }
            left = str_from_at(left, take);
        }
    }
    if (rc == 0)
        rc = encrypt(c, gather, have);
    int flushed = flush(c);
    return rc ? rc : flushed;
}

void pump_notify_close(tls_conn_t *c)
{
    if (c->done || c->notified || c->s->write_failed || !c->ssl ||
        !SSL_is_init_finished(c->ssl))
        return;
    c->notified = true;
    ERR_clear_error();
    SSL_shutdown(c->ssl); // 0 or 1: our half is done; an error: the connection is past it
    ERR_clear_error();
    flush(c);
}

// ---- life ----

static void attach_wire(tls_conn_t *c, const BIO_METHOD *method)
{
    BIO *b = BIO_new(method);
    ASSERT(b, "memory for a BIO");
    BIO_set_data(b, c);
    BIO_set_init(b, 1);
    SSL_set_bio(c->ssl, b, b);
}

void pump_begin(sock_t *s, tls_ctx_t *ctx, str_t name, unsigned timeout_ms, sock_tls_fn done,
                void *arg)
{
    ASSERT(!s->tls && s->paused && !s->closing, "TLS begins once, on an open, paused socket");
    loop_t *l = sock_loop(s);
    struct tls_scratch *t = scratch_ensure(l);
    tls_conn_t *c = mem_zalloc(sizeof *c);
    c->s = s;
    c->ctx = tls_acquire(ctx);
    c->done = done;
    c->arg = arg;
    if (name.n > 0) {
        c->name = mem_zalloc(name.n + 1);
        memcpy(c->name, name.p, name.n);
    }
    c->ssl = tls_ssl_create(ctx, c->name);
    if (c->ssl)
        attach_wire(c, t->method);
    io_defer_init(&c->deliver, on_deliver);
    io_timer_init(&c->deadline, l, on_deadline);
    if (timeout_ms)
        io_timer_start(&c->deadline, timeout_ms);
    s->tls = c;
    s->paused = false;
    sock_raw_read(s);
    io_defer_start(l, &c->deliver); // the client speaks first
}

void pump_ask(sock_t *s, hello_result_t (*on_hello)(void *arg, sock_t *s),
              void (*on_gone)(void *arg, sock_t *s), void *arg)
{
    tls_conn_t *c = s->tls;
    ASSERT(c && c->done && !c->name && c->ask == ASK_NOT,
           "a server asks, before its handshake");
    c->on_hello = on_hello;
    c->on_gone = on_gone;
    c->hello_arg = arg;
    SSL_set_cert_cb(c->ssl, on_cert, c);
}

void sock_hello_end(sock_t *s, bool ok)
{
    tls_conn_t *c = s->tls;
    ASSERT(c && c->ask == ASK_HELD, "a held handshake goes on once");
    c->ask = ok ? ASK_GO : ASK_REFUSED;
    io_defer_start(sock_loop(s), &c->deliver);
}

void pump_stop(tls_conn_t *c)
{
    forget_hello(c);
    io_timer_stop(&c->deadline);
    io_defer_stop(&c->deliver);
    c->done = NULL;
}

void pump_destroy(tls_conn_t *c)
{
    if (!c)
        return;
    tls_ssl_destroy(c->ssl);
    tls_release(c->ctx);
    buf_dispose(&c->held);
    free(c->name);
    free(c);
}

bool pump_ready(const tls_conn_t *c)
{
    return c->done == NULL;
}

void sock_start_tls(sock_t *s, tls_ctx_t *ctx, str_t sni, unsigned timeout_ms, sock_tls_fn done,
                    void *arg)
{
    ASSERT(done && sni.n > 0, "a TLS client names its server and waits for the handshake");
    pump_begin(s, ctx, sni, timeout_ms, done, arg);
}

// ---- what is known ----

bool sock_is_tls(const sock_t *s)
{
    return s->tls != NULL;
}

str_t sock_sni(const sock_t *s)
{
    if (!s->tls || s->tls->name)
        return (str_t){0};
    return str_from(SSL_get_servername(s->tls->ssl, TLSEXT_NAMETYPE_host_name));
}

const char *sock_tls_version(const sock_t *s)
{
    return s->tls ? SSL_get_version(s->tls->ssl) : NULL;
}

const char *sock_tls_cipher(const sock_t *s)
{
    return s->tls ? SSL_get_cipher_name(s->tls->ssl) : NULL;
}

bool sock_tls_resumed(const sock_t *s)
{
    return s->tls && SSL_session_reused(s->tls->ssl) == 1;
}

int sock_tls_verdict(const sock_t *s, bool *name)
{
    long verdict = s->tls ? SSL_get_verify_result(s->tls->ssl) : X509_V_OK;
    *name =
        verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;
    return (int)verdict;
}

const char *sock_tls_verdict_text(int verdict)
{
    return X509_verify_cert_error_string(verdict);
}

void *sock_tls_handle(const sock_t *s)
{
    return s->tls ? s->tls->ssl : NULL;
}
