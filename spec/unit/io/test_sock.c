// Sockets over loopback: both ends live in the same loop, and each test ends with nothing
// alive.
#include "world.h"

#include <sys/resource.h>

#include "base/log.h"

TEST(echoes)
{
    world_t w = {0};
    world_open(&w);
    w.server.echo = true;
    sock_resume(w.server.s);
    sock_resume(w.client.s);
    str_t iov[3] = {STR("one "), STR(""), STR("two")};
    CHECK_EQ_INT(sock_write(w.client.s, iov, 3), 0);
    UNTIL(&w, w.client.in.n == 7);
    CHECK_EQ_STR(buf_str(&w.client.in), "one two");
    CHECK_EQ_INT(sock_bytes_in(w.server.s), 7);
    CHECK_EQ_INT(sock_bytes_out(w.server.s), 7);
    CHECK(!sock_is_tls(w.client.s));
    CHECK(sock_tls_version(w.client.s) == NULL);
    world_close(&w);
}

TEST(knows_both_addresses)
{
    world_t w = {0};
    world_open(&w);
    CHECK(addr_equal(sock_peer(w.client.s), sock_local(w.server.s)));
    CHECK(addr_equal(sock_local(w.client.s), sock_peer(w.server.s)));
    CHECK(addr_equal(sock_peer(w.client.s), &w.at));
    world_close(&w);
}

TEST(reads_nothing_while_paused)
{
    world_t w = {0};
    world_open(&w);
    say(&w.client, "early");
    for (int i = 0; i < 5; i++)
        loop_turn(w.l, 5);
    CHECK_EQ_INT(w.server.in.n, 0);
    sock_resume(w.server.s);
    UNTIL(&w, w.server.in.n == 5);
    sock_pause(w.server.s);
    say(&w.client, "late");
    for (int i = 0; i < 5; i++)
        loop_turn(w.l, 5);
    CHECK_EQ_INT(w.server.in.n, 5);
    sock_resume(w.server.s);
    sock_pause(w.server.s);
    sock_resume(w.server.s);
    UNTIL(&w, w.server.in.n == 9);
    CHECK_EQ_STR(buf_str(&w.server.in), "earlylate");
    world_close(&w);
}

TEST(tells_of_the_end_once_and_can_still_write)
{
    world_t w = {0};
    world_open(&w);
    sock_resume(w.server.s);
    sock_resume(w.client.s);
    say(&w.client, "question");
    sock_shutdown(w.client.s);
    UNTIL(&w, w.server.eof);
    CHECK_EQ_STR(buf_str(&w.server.in), "question");
    w.server.eof = false;
    sock_resume(w.server.s);
    say(&w.server, "answer");
    UNTIL(&w, w.client.in.n == 6);
    CHECK(!w.server.eof);
    world_close(&w);
}

TEST(tells_of_a_reset)
{
    world_t w = {0};
    world_open(&w);
    sock_resume(w.server.s);
    sock_reset(w.client.s);
    w.client.s = NULL;
    UNTIL(&w, w.server.err);
    CHECK_EQ_INT(w.server.err, ERR_RESET);
    CHECK(!w.server.eof);
    str_t more = STR("more");
    CHECK(sock_write(w.server.s, &more, 1) < 0);
    world_close(&w);
}

TEST(writing_to_a_gone_peer_returns_the_error)
{
    world_t w = {0};
    world_open(&w);
    sock_reset(w.client.s);
    w.client.s = NULL;
    str_t more = STR("more");
    int err = 0;
    for (int i = 0; i < 100 && !err; i++) {
        err = sock_write(w.server.s, &more, 1);
        loop_turn(w.l, 1);
    }
    CHECK_EQ_INT(err, ERR_RESET);
    CHECK_EQ_INT(w.server.err, 0);
    world_close(&w);
}

// It does not read what we send: its close is a reset, behind its answer.
TEST(an_early_answer_survives_the_reset_of_what_we_send)
{
    world_t w = {0};
    world_open(&w);
    char *data = pattern(BIG);
    str_t upload = str_make(data, BIG);
    sock_resume(w.client.s);
    CHECK_EQ_INT(sock_write(w.client.s, &upload, 1), 0);
    loop_turn(w.l, 5);
    say(&w.server, "413");
    end_close(&w.server);
    UNTIL(&w, w.client.eof || w.client.err);
    CHECK_EQ_STR(buf_str(&w.client.in), "413");
    free(data);
    world_close(&w);
}

TEST(an_early_answer_is_there_after_a_failed_write)
{
    world_t w = {0};
    world_open(&w);
    str_t more = STR("more");
    int err = 0;
    CHECK_EQ_INT(sock_write(w.client.s, &more, 1), 0);
    loop_turn(w.l, 5);
    say(&w.server, "413");
    end_close(&w.server);
    for (int i = 0; i < 100 && !err; i++) {
        err = sock_write(w.client.s, &more, 1);
        loop_turn(w.l, 1);
    }
    CHECK_EQ_INT(err, ERR_RESET);
    CHECK_EQ_INT(w.client.err, 0);
    sock_resume(w.client.s);
    UNTIL(&w, w.client.eof || w.client.err);
    CHECK_EQ_STR(buf_str(&w.client.in), "413");
    world_close(&w);
}

TEST(a_callback_may_close_its_socket)
{
    world_t w = {0};
    world_open(&w);
    w.server.close_at_data = true;
    sock_resume(w.server.s);
    sock_resume(w.client.s);
    say(&w.client, "bye");
    UNTIL(&w, w.client.eof || w.client.err);
    CHECK(w.server.s == NULL);
    world_close(&w);
}

TEST(queues_what_a_slow_peer_does_not_take)
{
    world_t w = {0};
    world_open(&w);
    char *data = pattern(BIG);
    str_t half[2] = {str_make(data, BIG / 2 + 1), str_make(data + BIG / 2 + 1, BIG / 2 - 1)};
    CHECK_EQ_INT(sock_write(w.server.s, &half[0], 1), 0);
    size_t before = sock_pending(w.server.s);
    CHECK(!FILLS_KERNEL || (before > 0 && before < half[0].n));
    CHECK_EQ_INT(sock_write(w.server.s, &half[1], 1), 0);
    CHECK_EQ_INT(sock_pending(w.server.s), before + half[1].n);
    for (int i = 0; i < 5; i++)
        loop_turn(w.l, 2);
    CHECK(!FILLS_KERNEL || (sock_pending(w.server.s) > 0 && w.server.drains == 0));
    sock_resume(w.client.s);
    UNTIL(&w, w.client.in.n == BIG);
    CHECK(memcmp(buf_str(&w.client.in).p, data, BIG) == 0);
    UNTIL(&w, sock_pending(w.server.s) == 0);
    CHECK_EQ_INT(w.server.drains, 1);
    free(data);
    world_close(&w);
}

// An owner that has its own place for half of what comes; the rest takes the loop's buffer.
typedef struct place {
    end_t end; // first: events above see it as their owner
    char text[BIG / 2];
    size_t n;
} place_t;

static char *place_room(sock_t *s, size_t *n)
{
    place_t *p = sock_owner(s);
    *n = sizeof p->text - p->n;
    return *n ? p->text + p->n : NULL;
}

static void place_on_data(sock_t *s, char *data, size_t n)
{
    place_t *p = sock_owner(s);
    if (p->n < sizeof p->text) {
        CHECK(data == p->text + p->n && n <= sizeof p->text - p->n);
        p->n += n;
    } else {
        on_data(s, data, n);
    }
}

TEST(an_owner_may_say_where_bytes_go)
{
    static const sock_events_t ev = {.on_data = place_on_data,
                                     .on_eof = on_eof,
                                     .on_error = on_error,
                                     .on_drain = on_drain,
                                     .room = place_room};
    world_t w = {0};
    world_open(&w);
    char *data = pattern(BIG);
    place_t *p = calloc(1, sizeof *p);
    sock_own(w.client.s, &ev, p);
    str_t all = str_make(data, BIG);
    CHECK_EQ_INT(sock_write(w.server.s, &all, 1), 0);
    sock_resume(w.client.s);
    UNTIL(&w, p->end.in.n == BIG - sizeof p->text);
    CHECK(memcmp(p->text, data, sizeof p->text) == 0);
    CHECK(memcmp(buf_str(&p->end.in).p, data + sizeof p->text, p->end.in.n) == 0);
    CHECK_EQ_INT(sock_bytes_in(w.client.s), BIG);
    sock_own(w.client.s, &events, &w.client);
    buf_dispose(&p->end.in);
    free(p);
    free(data);
    world_close(&w);
}

TEST(shutdown_comes_after_the_queue)
{
    world_t w = {0};
    world_open(&w);
    char *data = pattern(BIG);
    str_t all = str_make(data, BIG);
    w.client.drop = true;
    CHECK_EQ_INT(sock_write(w.server.s, &all, 1), 0);
    sock_shutdown(w.server.s);
    sock_resume(w.client.s);
    UNTIL(&w, w.client.eof);
    CHECK_EQ_INT(w.client.total, BIG);
    free(data);
    world_close(&w);
}

TEST(close_drops_the_queue_and_frees_all)
{
    world_t w = {0};
    world_open(&w);
    char *data = pattern(BIG);
    str_t all = str_make(data, BIG);
    CHECK_EQ_INT(sock_write(w.server.s, &all, 1), 0);
    free(data);
    world_close(&w);
}

// The client has sent more than was read: a plain close would answer with RST, which may
// destroy the response on its way.
TEST(a_lingering_close_delivers_everything)
{
    world_t w = {0};
    world_open(&w);
    char *data = pattern(BIG);
    str_t upload = str_make(data, 300000), answer = str_make(data, 400000);
    CHECK_EQ_INT(sock_write(w.client.s, &upload, 1), 0);
    loop_turn(w.l, 5);
    CHECK_EQ_INT(sock_write(w.server.s, &answer, 1), 0);
    sock_close_linger(w.server.s, 2000);
    w.server.s = NULL;
    CHECK_EQ_INT(sock_write(w.client.s, &upload, 1), 0);
    sock_resume(w.client.s);
    UNTIL(&w, w.client.eof || w.client.err);
    CHECK(w.client.eof);
    CHECK_EQ_INT(w.client.err, 0);
    CHECK_EQ_INT(w.client.in.n, answer.n);
    free(data);
    world_close(&w);
}

TEST(a_lingering_close_ends_in_time)
{
    world_t w = {0};
    world_open(&w);
    uint64_t before = clock_mono_us();
    sock_close_linger(w.server.s, 60);
    w.server.s = NULL;
    UNTIL(&w, loop_live(w.l) == 2); // the listener and the client
    uint64_t took = clock_mono_us() - before;
    if (!CHECK(took >= 59000 && took < 1000000))
        TEST_NOTE("%d us", (int)took);
    world_close(&w);
}

// The peer ended its side first and reads slowly: the queue goes out, then nothing is left to
// wait for.
TEST(a_lingering_close_after_the_peers_end_waits_for_the_queue_only)
{
    world_t w = {0};
    world_open(&w);
    char *data = pattern(BIG);
    str_t all = str_make(data, BIG);
    w.client.drop = true;
    sock_resume(w.server.s);
    sock_shutdown(w.client.s);
    UNTIL(&w, w.server.eof);
    CHECK_EQ_INT(sock_write(w.server.s, &all, 1), 0);
    sock_close_linger(w.server.s, 60000);
    w.server.s = NULL;
    sock_resume(w.client.s);
    UNTIL(&w, w.client.eof);
    CHECK_EQ_INT(w.client.total, BIG);
    UNTIL(&w, loop_live(w.l) == 2); // the listener and the client
    free(data);
    world_close(&w);
}

TEST(a_pause_holds_the_end_back_too)
{
    world_t w = {0};
    world_open(&w);
    sock_shutdown(w.server.s);
    w.server.pause_at_data = true;
    sock_resume(w.server.s);
    say(&w.client, "x");
    sock_shutdown(w.client.s); // both sides are shut: a hangup comes with the byte
    UNTIL(&w, w.server.in.n == 1);
    for (int i = 0; i < 5; i++)
        loop_turn(w.l, 2);
    CHECK(!w.server.eof);
    sock_resume(w.server.s);
    UNTIL(&w, w.server.eof);
    world_close(&w);
}

TEST(a_lingering_close_ends_with_the_peer)
{
    world_t w = {0};
    world_open(&w);
    sock_close_linger(w.server.s, 60000);
    w.server.s = NULL;
    end_close(&w.client);
    UNTIL(&w, loop_live(w.l) == 1);
    world_close(&w);
}

// ---- connecting and accepting ----

TEST(a_refused_connection_is_told_later)
{
    world_t w = {0};
    world_open_at(&w, "127.0.0.1:0");
    listener_stop(w.k);
    w.k = NULL;
    close(w.fd);
    world_connect(&w);
    CHECK(!w.done);
    UNTIL(&w, w.done);
    CHECK_EQ_INT(w.err, ERR_REFUSED);
    w.fd = dup(2);
    world_close(&w);
}

TEST(a_cancelled_connection_is_silent)
{
    world_t w = {0};
    world_open_at(&w, "127.0.0.1:0");
    connect_cancel(world_connect(&w));
    connector_t *c = world_connect(&w);
    loop_turn(w.l, 0);
    connect_cancel(w.done ? world_connect(&w) : c);
    for (int i = 0; i < 5; i++)
        loop_turn(w.l, 2);
    world_close(&w);
}

static bool allow_none(void *arg, const addr_t *a)
{
    (void)arg;
    CHECK_EQ_INT(a->sa.sa_family, AF_INET);
    return false;
}

TEST(a_forbidden_address_is_not_connected_to)
{
    world_t w = {0};
    world_open_at(&w, "127.0.0.1:0");
    sock_connect(w.l, &(connect_opts_t){.host = STR("127.0.0.1"),
                                        .port = addr_port(&w.at),
                                        .allow = allow_none,
                                        .on_done = on_done,
                                        .arg = &w});
    UNTIL(&w, w.done);
    CHECK_EQ_INT(w.err, ERR_DENIED);
    CHECK_EQ_INT(w.accepted, 0);
    world_close(&w);
}

static bool allow_v6(void *arg, const addr_t *a)
{
    (void)arg;
    return a->sa.sa_family == AF_INET6;
}

// "x.localhost" is 127.0.0.1, then ::1. False: this machine has no IPv6 loopback.
static bool open_v6(world_t *w)
{
    addr_t any;
    int fd;
    if (addr_parse(STR("[::1]:0"), &any) != 0 || listen_bind(&any, 8, false, &fd) != 0)
        return false;
    close(fd);
    world_open_at(w, "[::1]:0");
    return true;
}

static void connect_localhost(world_t *w, bool (*allow)(void *arg, const addr_t *a))
{
    sock_connect(w->l, &(connect_opts_t){.host = STR("x.localhost"),
                                         .port = addr_port(&w->at),
                                         .allow = allow,
                                         .on_done = on_done,
                                         .arg = w});
    UNTIL(w, w->done && w->server.s);
    CHECK_EQ_INT(w->err, 0);
    CHECK_EQ_INT(sock_peer(w->client.s)->sa.sa_family, AF_INET6);
}

TEST(the_next_address_is_tried_after_a_refusal)
{
    world_t w = {0};
    if (!open_v6(&w))
        return;
    connect_localhost(&w, NULL);
    world_close(&w);
}

TEST(the_next_address_is_tried_when_one_is_forbidden)
{
    world_t w = {0};
    if (!open_v6(&w))
        return;
    connect_localhost(&w, allow_v6);
    world_close(&w);
}

enum { FILL = 8 };

// A full backlog swallows connection attempts: nothing answers, as with a dead host.
static void fill_backlog(int listen_fd, const addr_t *at, int fill[FILL])
{
    CHECK_EQ_INT(listen(listen_fd, 0), 0);
    for (int i = 0; i < FILL; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fill[i], &at->sa, (socklen_t)addr_len(at));
    }
}

TEST(a_connection_times_out)
{
    world_t w = {0};
    world_open_at(&w, "127.0.0.1:0");
    listener_stop(w.k);
    w.k = NULL;
    int fill[FILL];
    fill_backlog(w.fd, &w.at, fill);
    loop_turn(w.l, 20);
    uint64_t before = clock_mono_us();
    sock_connect(w.l, &(connect_opts_t){.host = STR("127.0.0.1"),
                                        .port = addr_port(&w.at),
                                        .timeout_ms = 80,
                                        .on_done = on_done,
                                        .arg = &w});
    UNTIL(&w, w.done);
    CHECK_EQ_INT(w.err, ERR_TIMEOUT);
    CHECK(clock_mono_us() - before >= 79000);
    for (int i = 0; i < FILL; i++)
        close(fill[i]);
    world_close(&w);
}

TEST(the_next_address_is_tried_after_a_silence)
{
    world_t w = {0};
    addr_t v4;
    int fd, fill[FILL];
    if (!open_v6(&w))
        return;
    CHECK_EQ_INT(addr_from_ip(STR("127.0.0.1"), addr_port(&w.at), &v4), 0);
    if (listen_bind(&v4, 1, false, &fd) ==
        0) { // else the port is another's, which answers or refuses
        fill_backlog(fd, &v4, fill);
        uint64_t before = clock_mono_us();
        connect_localhost(&w, NULL);
        uint64_t took = clock_mono_us() - before;
        if (!CHECK(took >= 240000 && took < 900000))
            TEST_NOTE("%d us", (int)took);
        for (int i = 0; i < FILL; i++)
            close(fill[i]);
        close(fd);
    }
    world_close(&w);
}

TEST(unix_sockets_are_sockets_too)
{
    world_t w = {0};
    char path[64], at[80];
    snprintf(path, sizeof path, "/tmp/test_sock.%d", (int)getpid());
    snprintf(at, sizeof at, "unix:%s", path);
    world_open_at(&w, at);
    sock_connect(w.l, &(connect_opts_t){.host = str_from(at), .on_done = on_done, .arg = &w});
    UNTIL(&w, w.done && w.server.s);
    if (CHECK_EQ_INT(w.err, 0)) {
        w.server.echo = true;
        sock_resume(w.server.s);
        sock_resume(w.client.s);
        say(&w.client, "hello");
        UNTIL(&w, w.client.in.n == 5);
        CHECK_EQ_INT(sock_peer(w.server.s)->sa.sa_family, AF_UNIX);
    }
    world_close(&w);
    w = (world_t){0};
    world_open_at(&w, at); // the file of a listener that is gone is no obstacle
    world_close(&w);
    w = (world_t){0};
    world_open_at(&w, "127.0.0.1:0");
    unlink(path);
    sock_connect(w.l, &(connect_opts_t){.host = str_from(at), .on_done = on_done, .arg = &w});
    UNTIL(&w, w.done);
    CHECK_EQ_INT(w.err, ERR_REFUSED);
    world_close(&w);
}

TEST(an_address_in_use_is_an_error)
{
    world_t w = {0};
    int fd;
    world_open_at(&w, "127.0.0.1:0");
    CHECK_EQ_INT(listen_bind(&w.at, 8, false, &fd), ERR_ADDRESS);
    world_close(&w);
}

TEST(a_paused_listener_accepts_nothing)
{
    world_t w = {0};
    world_open_at(&w, "127.0.0.1:0");
    listener_pause(w.k);
    world_connect(&w);
    UNTIL(&w, w.done);
    for (int i = 0; i < 5; i++)
        loop_turn(w.l, 2);
    CHECK_EQ_INT(w.accepted, 0);
    listener_resume(w.k);
    UNTIL(&w, w.server.s);
    world_close(&w);
}

TEST(accepting_survives_running_out_of_descriptors)
{
    world_t w = {0};
    struct rlimit old, low;
    world_open_at(&w, "127.0.0.1:0");
    log_level_t level = log_level();
    log_set_level(LOG_EMERG); // the line about it is expected
    int c1 = socket(AF_INET, SOCK_STREAM, 0), c2 = socket(AF_INET, SOCK_STREAM, 0);
    getrlimit(RLIMIT_NOFILE, &old);
    low = old;
    low.rlim_cur = (rlim_t)c2 + 1;
    CHECK_EQ_INT(setrlimit(RLIMIT_NOFILE, &low), 0);
    CHECK_EQ_INT(connect(c1, &w.at.sa, (socklen_t)addr_len(&w.at)), 0);
    CHECK_EQ_INT(connect(c2, &w.at.sa, (socklen_t)addr_len(&w.at)), 0);
    loop_turn(w.l, 20);
    CHECK_EQ_INT(w.accepted, 0);
    char c;
    CHECK_EQ_INT(recv(c1, &c, 1, 0), 0); // told by a close
    struct rusage r0, r1;
    getrusage(RUSAGE_SELF, &r0);
    uint64_t until = clock_mono_us() + 60000, turns = 0;
    for (; clock_mono_us() < until; turns++)
        loop_turn(w.l, 20);
    getrusage(RUSAGE_SELF, &r1);
    if (!CHECK(turns < 20))
        TEST_NOTE("%d turns", (int)turns); // it rests, it does not spin
    setrlimit(RLIMIT_NOFILE, &old);
    UNTIL(&w, w.accepted == 1);
    log_set_level(level);
    close(c1);
    close(c2);
    world_close(&w);
}
