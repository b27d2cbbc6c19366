// TLS between two sockets of one loop: names, trust, resumption, half-close, and what a broken
// peer gets.
#include "world.h"

typedef struct pki {
    tls_cert_t *a, *b; // for a.test and b.test
    char *a_pem;       // a's certificate: a trust anchor
    tls_ctx_t *server, *trusting, *careless;
    int picks;
} pki_t;

static tls_cert_t *pick(void *arg, str_t sni)
{
    pki_t *p = arg;
    p->picks++;
    if (str_eq(sni, STR("b.test")))
        return p->b;
    return str_eq(sni, STR("nobody.test")) ? NULL : p->a;
}

static tls_cert_t *self_signed(const char *name, char **pem)
{
    char *cert = NULL, *key = NULL;
    const char *why = "";
    tls_cert_t *c = NULL;
    CHECK_EQ_INT(tls_self_signed(str_from(name), &cert, &key), 0);
    CHECK_EQ_INT(tls_cert_create(str_from(cert), str_from(key), &c, &why), 0);
    CHECK_EQ_STR(why, "");
    free(key);
    if (pem)
        *pem = cert;
    else
        free(cert);
    return c;
}

static tls_ctx_t *client_ctx(const tls_client_opts_t *o)
{
    tls_ctx_t *c = NULL;
    const char *why = "";
    CHECK_EQ_INT(tls_client_create(o, &c, &why), 0);
    CHECK_EQ_STR(why, "");
    return c;
}

static void pki_init(pki_t *p)
{
    *p = (pki_t){0};
    p->a = self_signed("a.test", &p->a_pem);
    p->b = self_signed("b.test", NULL);
    p->server = tls_server_create(pick, p);
    p->trusting =
        client_ctx(&(tls_client_opts_t){.verify = true, .ca_pem = str_from(p->a_pem)});
    p->careless = client_ctx(&(tls_client_opts_t){.verify = false});
}

static void pki_dispose(pki_t *p)
{
    tls_release(p->server);
    tls_release(p->trusting);
    tls_release(p->careless);
    tls_cert_release(p->a);
    tls_cert_release(p->b);
    free(p->a_pem);
}

static world_t secure(pki_t *p, tls_ctx_t *client, const char *sni)
{
    return (world_t){.server_tls = p->server, .client_tls = client, .sni = sni};
}

static void exchange(world_t *w)
{
    w->server.echo = true;
    sock_resume(w->server.s);
    sock_resume(w->client.s);
    say(&w->client, "hello");
    UNTIL(w, w->client.in.n == 5);
    CHECK_EQ_STR(buf_str(&w->client.in), "hello");
}

TEST(speaks_both_ways_and_knows_the_name)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, p.trusting, "a.test");
    world_open(&w);
    exchange(&w);
    CHECK(sock_is_tls(w.server.s) && sock_is_tls(w.client.s));
    CHECK_EQ_STR(sock_sni(w.server.s), "a.test");
    CHECK_EQ_STR(sock_sni(w.client.s), "");
    CHECK_EQ_STR(sock_tls_version(w.server.s), "TLSv1.3");
    CHECK(strlen(sock_tls_cipher(w.client.s)) > 5);
    CHECK_EQ_INT(sock_bytes_in(w.server.s), 5);
    CHECK_EQ_INT(sock_bytes_out(w.server.s), 5);
    world_close(&w);
    pki_dispose(&p);
}

TEST(an_ip_literal_is_verified_but_not_sent)
{
    pki_t p;
    pki_init(&p);
    tls_cert_release(p.a);
    free(p.a_pem);
    tls_release(p.trusting);
    p.a = self_signed("127.0.0.1", &p.a_pem);
    p.trusting = client_ctx(&(tls_client_opts_t){.verify = true, .ca_pem = str_from(p.a_pem)});
    world_t w = secure(&p, p.trusting, NULL); // the host stands in: 127.0.0.1
    world_open(&w);
    exchange(&w);
    CHECK_EQ_STR(sock_sni(w.server.s), "");
    world_close(&w);
    pki_dispose(&p);
}

static void expect_failure(pki_t *p, tls_ctx_t *client, const char *sni, int err,
                           const char *why)
{
    world_t w = secure(p, client, sni);
    world_open_at(&w, "127.0.0.1:0");
    world_connect(&w);
    UNTIL(&w, w.done && w.tls_err);
    CHECK_EQ_INT(w.err, err);
    CHECK(w.client.s == NULL && w.server.s == NULL);
    CHECK_EQ_INT(w.tls_err, ERR_TLS_HANDSHAKE);
    if (!CHECK(strstr(w.client_why, why)))
        TEST_NOTE("client: %s; server: %s", w.client_why, w.tls_why);
    world_close(&w);
}

TEST(an_unknown_issuer_is_refused)
{
    pki_t p;
    pki_init(&p);
    expect_failure(&p, p.trusting, "b.test", ERR_TLS_VERIFY, "self-signed certificate");
    pki_dispose(&p);
}

TEST(a_certificate_for_another_name_is_refused)
{
    pki_t p;
    pki_init(&p);
    expect_failure(&p, p.trusting, "c.test", ERR_TLS_VERIFY, "ostname mismatch");
    expect_failure(&p, p.trusting, "127.0.0.1", ERR_TLS_VERIFY, "IP address mismatch");
    pki_dispose(&p);
}

TEST(the_systems_store_does_not_know_us)
{
    pki_t p;
    pki_init(&p);
    tls_ctx_t *c = client_ctx(&(tls_client_opts_t){.verify = true});
    expect_failure(&p, c, "a.test", ERR_TLS_VERIFY, "self-signed certificate");
    tls_release(c);
    pki_dispose(&p);
}

TEST(a_name_without_certificate_is_refused_with_its_alert)
{
    pki_t p;
    pki_init(&p);
    expect_failure(&p, p.careless, "nobody.test", ERR_TLS_HANDSHAKE, "unrecognized name");
    pki_dispose(&p);
}

TEST(picks_by_name_and_may_skip_verification)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, p.careless, "b.test");
    world_open(&w);
    exchange(&w);
    CHECK_EQ_STR(sock_sni(w.server.s), "b.test");
    world_close(&w);
    pki_dispose(&p);
}

static bool connect_resumes(pki_t *p, tls_ctx_t *client, const char *sni)
{
    world_t w = secure(p, client, sni);
    world_open(&w);
    exchange(&w);
    bool resumed = sock_tls_resumed(w.client.s);
    CHECK_EQ_INT(sock_tls_resumed(w.server.s), resumed);
    CHECK_EQ_STR(sock_sni(w.server.s), sni);
    world_close(&w);
    return resumed;
}

TEST(takes_up_sessions_by_name_and_context)
{
    pki_t p;
    pki_init(&p);
    CHECK(!connect_resumes(&p, p.trusting, "a.test"));
    CHECK(connect_resumes(&p, p.trusting, "a.test"));
    CHECK(connect_resumes(&p, p.trusting, "a.test"));
    CHECK(!connect_resumes(&p, p.careless, "a.test"));
    CHECK(!connect_resumes(&p, p.careless, "b.test"));
    CHECK(connect_resumes(&p, p.careless, "b.test"));
    tls_release(p.server);
    p.server = tls_server_create(pick, &p);
    CHECK(!connect_resumes(&p, p.trusting, "a.test")); // another context, other tickets
    pki_dispose(&p);
}

TEST(a_shared_ticket_secret_shares_sessions)
{
    pki_t p;
    uint8_t secret[TLS_TICKET_SECRET_BYTES];
    memset(secret, 7, sizeof secret);
    pki_init(&p);
    tls_server_set_ticket_secret(p.server, secret);
    CHECK(!connect_resumes(&p, p.trusting, "a.test"));
    tls_release(p.server);
    p.server = tls_server_create(pick, &p);
    tls_server_set_ticket_secret(p.server, secret);
    CHECK(connect_resumes(&p, p.trusting, "a.test"));
    pki_dispose(&p);
}

TEST(more_names_than_sessions_kept)
{
    pki_t p;
    pki_init(&p);
    for (int i = 0; i < 70; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%d.test", i);
        CHECK(!connect_resumes(&p, p.careless, name));
    }
    CHECK(connect_resumes(&p, p.careless, "n69.test"));
    CHECK(!connect_resumes(&p, p.careless, "n0.test"));
    pki_dispose(&p);
}

TEST(megabytes_pass_in_both_directions)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, p.trusting, "a.test");
    world_open(&w);
    char *data = pattern(BIG);
    str_t iov[3] = {str_make(data, 3), str_make(data + 3, 100000),
                    str_make(data + 100003, BIG - 100003)};
    CHECK_EQ_INT(sock_write(w.server.s, iov, 3), 0);
    CHECK(!FILLS_KERNEL || sock_pending(w.server.s) > 0);
    sock_shutdown(w.server.s);
    CHECK_EQ_INT(sock_write(w.client.s, iov, 3), 0);
    sock_resume(w.client.s);
    sock_resume(w.server.s);
    UNTIL(&w, w.client.eof && w.server.in.n == BIG);
    CHECK_EQ_INT(w.client.in.n, BIG);
    CHECK(memcmp(buf_str(&w.client.in).p, data, BIG) == 0);
    CHECK(memcmp(buf_str(&w.server.in).p, data, BIG) == 0);
    CHECK_EQ_INT(w.client.err, 0);
    free(data);
    world_close(&w);
    pki_dispose(&p);
}

TEST(a_pause_holds_decrypted_bytes_back)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, p.trusting, "a.test");
    world_open(&w);
    for (int i = 0; i < 3; i++) { // three records in one segment, most likely
        char c[2] = {(char)('a' + i), 0};
        say(&w.client, c);
    }
    char *data = pattern(200000);
    str_t all = str_make(data, 200000);
    CHECK_EQ_INT(sock_write(w.client.s, &all, 1), 0);
    sock_shutdown(w.client.s);
    w.server.pause_at_data = true;
    int resumes = 0;
    while (w.server.in.n < 200003 && resumes < 100) {
        size_t before = w.server.in.n;
        sock_resume(w.server.s);
        CHECK_EQ_INT(w.server.in.n, before); // not inside the call
        UNTIL(&w, w.server.in.n > before);
        CHECK(!w.server.eof);
        resumes++;
    }
    CHECK(resumes >= 2);
    sock_resume(w.server.s);
    UNTIL(&w, w.server.eof);
    CHECK(memcmp(buf_str(&w.server.in).p + 3, data, 200000) == 0);
    w.server.eof = false;
    sock_resume(w.server.s);
    for (int i = 0; i < 5; i++)
        loop_turn(w.l, 2);
    CHECK(!w.server.eof && !w.server.err); // told once
    free(data);
    world_close(&w);
    pki_dispose(&p);
}

TEST(an_end_without_close_notify_is_an_error)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, p.trusting, "a.test");
    world_open(&w);
    exchange(&w);
    CHECK_EQ_INT(shutdown(sock_fd(w.server.s), SHUT_WR), 0);
    UNTIL(&w, w.client.err);
    CHECK_EQ_INT(w.client.err, ERR_EOF);
    CHECK(!w.client.eof);
    world_close(&w);
    pki_dispose(&p);
}

TEST(a_close_is_an_end_and_a_reset_is_not)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, p.trusting, "a.test");
    world_open(&w);
    exchange(&w);
    end_close(&w.server);
    UNTIL(&w, w.client.eof || w.client.err);
    CHECK(w.client.eof);
    world_close(&w);
    w = secure(&p, p.trusting, "a.test");
    world_open(&w);
    exchange(&w);
    sock_reset(w.server.s);
    w.server.s = NULL;
    UNTIL(&w, w.client.eof || w.client.err);
    CHECK_EQ_INT(w.client.err, ERR_RESET);
    world_close(&w);
    pki_dispose(&p);
}

TEST(a_callback_may_close_its_socket_in_the_middle_of_the_input)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, p.trusting, "a.test");
    world_open(&w);
    char *data = pattern(200000);
    str_t all = str_make(data, 200000);
    w.server.close_at_data = true;
    sock_resume(w.client.s);
    CHECK_EQ_INT(sock_write(w.client.s, &all, 1), 0);
    sock_resume(w.server.s);
    UNTIL(&w, w.client.eof || w.client.err);
    CHECK(w.server.s == NULL);
    CHECK(w.server.total > 0);
    free(data);
    world_close(&w);
    pki_dispose(&p);
}

static void on_accept_stop(void *arg, sock_t *s)
{
    world_t *w = arg;
    w->accepted++;
    sock_close(s);
    listener_stop(w->k);
    w->k = NULL;
}

TEST(accepting_may_close_the_socket_and_stop_the_listener)
{
    pki_t p;
    pki_init(&p);
    for (int tls = 0; tls < 2; tls++) {
        world_t w = secure(&p, tls ? p.careless : NULL, "a.test");
        world_open_at(&w, "127.0.0.1:0");
        listener_stop(w.k);
        w.k = listener_start(w.l, &(listener_opts_t){.fd = w.fd,
                                                     .tls = tls ? p.server : NULL,
                                                     .on_accept = on_accept_stop,
                                                     .arg = &w});
        world_connect(&w);
        UNTIL(&w, w.accepted == 1 && w.done);
        if (w.client.s)
            sock_resume(w.client.s);
        UNTIL(&w, w.client.eof || w.err || w.client.err);
        world_close(&w);
    }
    pki_dispose(&p);
}

// The server's greeting may come in one segment with the end of its handshake: it is kept until
// the owner reads.
TEST(what_comes_right_behind_the_handshake_is_delivered)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, p.careless, "a.test");
    world_open_at(&w, "127.0.0.1:0");
    world_connect(&w);
    UNTIL(&w, w.server.s);
    say(&w.server, "220 ready");
    sock_shutdown(w.server.s);
    UNTIL(&w, w.done);
    for (int i = 0; i < 5; i++)
        loop_turn(w.l, 2);
    CHECK(w.client.in.n == 0 && !w.client.eof);
    sock_resume(w.client.s);
    UNTIL(&w, w.client.eof);
    CHECK_EQ_STR(buf_str(&w.client.in), "220 ready");
    world_close(&w);
    pki_dispose(&p);
}

TEST(a_lingering_close_delivers_all_of_it)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, p.trusting, "a.test");
    world_open(&w);
    char *data = pattern(BIG);
    str_t upload = str_make(data, 300000), answer = str_make(data, 400000);
    CHECK_EQ_INT(sock_write(w.client.s, &upload, 1), 0);
    CHECK_EQ_INT(sock_write(w.server.s, &answer, 1), 0);
    sock_close_linger(w.server.s, 2000);
    w.server.s = NULL;
    sock_resume(w.client.s);
    UNTIL(&w, w.client.eof || w.client.err);
    CHECK(w.client.eof);
    CHECK_EQ_INT(w.client.in.n, answer.n);
    free(data);
    world_close(&w);
    pki_dispose(&p);
}

// ---- peers that do not speak TLS ----

static void plain_against_tls(const char *text, const char *want)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, NULL, NULL);
    world_open_at(&w, "127.0.0.1:0");
    world_connect(&w);
    UNTIL(&w, w.done);
    sock_resume(w.client.s);
    if (text)
        say(&w.client, text);
    else
        end_close(&w.client);
    UNTIL(&w, w.tls_err);
    if (!CHECK(strstr(w.tls_why, want)))
        TEST_NOTE("%s", w.tls_why);
    world_close(&w);
    pki_dispose(&p);
}

TEST(plain_http_to_a_tls_listener_is_refused)
{
    plain_against_tls("GET / HTTP/1.1\r\n\r\n", "http request");
    plain_against_tls("\x16\x03\x01\xff\xff\x01 and so on", "");
    plain_against_tls(NULL, "closed");
}

TEST(a_silent_client_meets_the_deadline)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, NULL, NULL);
    world_open_at(&w, "127.0.0.1:0");
    listener_stop(w.k);
    w.k = listener_start(w.l, &(listener_opts_t){.fd = w.fd,
                                                 .tls = p.server,
                                                 .handshake_timeout_ms = 50,
                                                 .on_accept = on_accept,
                                                 .on_tls_error = on_tls_error,
                                                 .arg = &w});
    world_connect(&w);
    UNTIL(&w, w.tls_err);
    CHECK_EQ_INT(w.tls_err, ERR_TIMEOUT);
    CHECK_EQ_INT(w.accepted, 0);
    world_close(&w);
    pki_dispose(&p);
}

TEST(a_silent_server_meets_the_connect_deadline)
{
    pki_t p;
    pki_init(&p);
    world_t w = {0};
    world_open_at(&w, "127.0.0.1:0");
    sock_connect(w.l, &(connect_opts_t){.host = STR("127.0.0.1"),
                                        .port = addr_port(&w.at),
                                        .timeout_ms = 60,
                                        .tls = p.careless,
                                        .on_done = on_done,
                                        .arg = &w});
    UNTIL(&w, w.done);
    CHECK_EQ_INT(w.err, ERR_TIMEOUT);
    world_close(&w);
    pki_dispose(&p);
}

TEST(stopping_drops_handshakes_on_both_sides)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, p.careless, "a.test");
    world_open_at(&w, "127.0.0.1:0");
    connector_t *c = world_connect(&w);
    for (int i = 0; i < 2; i++)
        loop_turn(w.l, 0);
    if (CHECK(!w.done))
        connect_cancel(c);
    world_close(&w);
    pki_dispose(&p);
}

// ---- upgrading ----

static void on_upgraded(void *arg, sock_t *s, int err, const char *why)
{
    world_t *w = arg;
    w->done = true;
    w->err = err;
    snprintf(w->client_why, sizeof w->client_why, "%s", why ? why : "");
    CHECK(sock_paused(s));
}

TEST(a_plain_connection_is_upgraded)
{
    pki_t p;
    pki_init(&p);
    world_t w = secure(&p, NULL, NULL);
    world_open_at(&w, "127.0.0.1:0");
    world_connect(&w);
    UNTIL(&w, w.done);
    w.done = false;
    sock_start_tls(w.client.s, p.trusting, STR("a.test"), 2000, on_upgraded, &w);
    CHECK(!w.done);
    UNTIL(&w, w.done && w.server.s);
    CHECK_EQ_INT(w.err, 0);
    exchange(&w);
    world_close(&w);
    pki_dispose(&p);
}

TEST(a_failed_upgrade_leaves_the_socket_to_close)
{
    pki_t p;
    pki_init(&p);
    world_t w = {0};
    world_open(&w);
    w.done = false;
    say(&w.server, "220 ready\r\n");
    sock_start_tls(w.client.s, p.trusting, STR("a.test"), 2000, on_upgraded, &w);
    UNTIL(&w, w.done);
    CHECK_EQ_INT(w.err, ERR_TLS_HANDSHAKE);
    CHECK_EQ_INT(w.client.in.n, 0); // plaintext sent ahead is not delivered
    world_close(&w);
    pki_dispose(&p);
}

// ---- configuration ----

TEST(bad_certificates_are_refused_with_a_reason)
{
    char *cert = NULL, *key = NULL, *other = NULL, *other_key = NULL;
    const char *why = "";
    tls_cert_t *c = NULL;
    CHECK_EQ_INT(tls_self_signed(STR("a.test"), &cert, &key), 0);
    CHECK_EQ_INT(tls_self_signed(STR("b.test"), &other, &other_key), 0);
    CHECK_EQ_INT(tls_cert_create(STR("no"), str_from(key), &c, &why), ERR_INVALID);
    CHECK(strstr(why, "certificate is not valid PEM"));
    CHECK_EQ_INT(tls_cert_create(str_from(cert), STR(""), &c, &why), ERR_INVALID);
    CHECK(strstr(why, "private key is not valid PEM"));
    CHECK_EQ_INT(tls_cert_create(str_from(cert), str_from(other_key), &c, &why), ERR_INVALID);
    CHECK(strstr(why, "does not belong"));
    CHECK_EQ_INT(tls_cert_create(str_make(cert, strlen(cert) / 2), str_from(key), &c, &why),
                 ERR_INVALID);
    CHECK(c == NULL);
    CHECK_EQ_INT(tls_self_signed(STR("a\nb"), &cert, &key), ERR_INVALID);
    CHECK_EQ_INT(tls_self_signed(STR("a,IP:1.2.3.4"), &cert, &key), ERR_INVALID);
    tls_ctx_t *ctx = NULL;
    CHECK_EQ_INT(
        tls_client_create(&(tls_client_opts_t){.verify = true, .ca_pem = STR("x")}, &ctx, &why),
        ERR_INVALID);
    CHECK(strstr(why, "CA certificate is not valid PEM"));
    tls_cert_t *again = NULL, *another = NULL;
    CHECK_EQ_INT(tls_cert_create(str_from(cert), str_from(key), &c, &why), 0);
    CHECK_EQ_INT(tls_cert_create(str_from(cert), str_from(key), &again, &why), 0);
    CHECK_EQ_INT(tls_cert_create(str_from(other), str_from(other_key), &another, &why), 0);
    CHECK(tls_cert_same(c, again) && !tls_cert_same(c, another) && !tls_cert_same(c, NULL));
    tls_cert_release(c);
    tls_cert_release(again);
    tls_cert_release(another);
    free(cert);
    free(key);
    free(other);
    free(other_key);
}
