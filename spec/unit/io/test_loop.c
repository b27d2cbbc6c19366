// The wheel against any clock we like, then the loop: timers, deferred calls, pool work,
// signals, watches.
#include "test.h"

#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/loop.h"
#include "io/wheel.h"

// ---- the wheel, without a clock ----

enum { MANY = 4000 };

// Advances like the loop does: straight to what the wheel asks for. Checks each timer against
// its deadline.
static unsigned drain_wheel(wheel_t *w, uint64_t until, const uint64_t *due, io_timer_t *timers)
{
    unsigned fired = 0;
    uint64_t last = 0;
    for (;;) {
        uint64_t next = wheel_next(w);
        if (next == WHEEL_NEVER || next > until)
            return fired;
        wheel_advance(w, next);
        while (!list_empty(&w->ready)) {
            io_timer_t *t = CONTAINER_OF(w->ready.next, io_timer_t, links);
            CHECK_EQ_INT(w->now, t->due_ms); // neither early nor late
            CHECK(t->due_ms >= last);
            CHECK_EQ_INT(t->due_ms, due[t - timers]);
            last = t->due_ms;
            wheel_remove(w, t);
            fired++;
        }
    }
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void wheel_trial(uint64_t start, uint64_t span)
{
    static wheel_t w;
    static io_timer_t timers[MANY];
    static uint64_t due[MANY];
    uint64_t rng = start * 2654435761u + span + 1;
    memset(timers, 0, sizeof timers);
    wheel_init(&w, start);
    for (int i = 0; i < MANY; i++) {
        list_init(&timers[i].links);
        due[i] = start + 1 + random_next(&rng) % span;
        wheel_insert(&w, &timers[i], due[i]);
    }
    for (int i = 0; i < MANY; i += 4)
        wheel_remove(&w, &timers[i]);
    CHECK_EQ_INT(w.armed, MANY - MANY / 4);
    CHECK_EQ_INT(drain_wheel(&w, UINT64_MAX - 1, due, timers), MANY - MANY / 4);
    CHECK_EQ_INT(w.armed, 0);
    for (int i = 0; i < WHEEL_LEVELS; i++)
        CHECK_EQ_INT(w.busy[i], 0);
}

TEST(wheel_fires_each_timer_exactly_when_due)
{
    const uint64_t starts[] = {1, 63, 4095, 4096, 262143, 123456789, (1ull << 36) - 5};
    const uint64_t spans[] = {2, 64, 100, 5000, 300000, 100000000, 1ull << 40};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        for (size_t j = 0; j < sizeof spans / sizeof *spans; j++)
            wheel_trial(starts[i], spans[j]);
}

TEST(wheel_wakes_no_more_than_a_level_at_a_time)
{
    static wheel_t w;
    io_timer_t t = {0};
    list_init(&t.links);
    wheel_init(&w, 1000);
    CHECK(wheel_next(&w) == WHEEL_NEVER);
    wheel_insert(&w, &t, 1000 + 60000);
    int wakes = 0;
    while (list_empty(&w.ready)) {
        uint64_t next = wheel_next(&w);
        CHECK(next <= 61000);
        wheel_advance(&w, next);
        wakes++;
    }
    CHECK(wakes <= WHEEL_LEVELS);
    CHECK_EQ_INT(w.now, 61000);
    wheel_remove(&w, &t);
}

TEST(wheel_catches_up_after_a_long_sleep)
{
    static wheel_t w;
    io_timer_t t[3] = {0};
    wheel_init(&w, 500);
    for (int i = 0; i < 3; i++) {
        list_init(&t[i].links);
        wheel_insert(&w, &t[i], 600 + 5000u * (unsigned)(2 - i));
    }
    wheel_advance(&w, 1000000);
    for (int i = 2; i >= 0; i--) { // in the order of their deadlines
        CHECK(w.ready.next == &t[i].links);
        wheel_remove(&w, &t[i]);
    }
    CHECK(wheel_next(&w) == WHEEL_NEVER);
    CHECK_EQ_INT(w.now, 1000000);
}

TEST(wheel_takes_a_deadline_in_the_past)
{
    static wheel_t w;
    io_timer_t t = {0};
    list_init(&t.links);
    wheel_init(&w, 500);
    wheel_insert(&w, &t, 3);
    CHECK_EQ_INT(wheel_next(&w), 500);
    CHECK(w.ready.next == &t.links);
    wheel_remove(&w, &t);
}

// ---- the loop ----

typedef struct probe {
    io_timer_t timer;
    io_defer_t defer;
    uint64_t armed_us, fired_us;
    int fired, again;
    struct probe *victim;
} probe_t;

static void on_probe(io_timer_t *t)
{
    probe_t *p = CONTAINER_OF(t, probe_t, timer);
    CHECK(!io_timer_active(t));
    p->fired++;
    p->fired_us = clock_mono_us();
    if (p->victim)
        io_timer_stop(&p->victim->timer);
    if (p->again-- > 0)
        io_timer_start(t, 0);
}

static void arm(loop_t *l, probe_t *p, uint64_t ms)
{
    if (!p->timer.fn)
        io_timer_init(&p->timer, l, on_probe);
    p->armed_us = clock_mono_us();
    io_timer_start(&p->timer, ms);
}

TEST(timers_are_never_early_and_hardly_late)
{
    loop_t *l = loop_create();
    probe_t p[6] = {0};
    const uint64_t ms[6] = {1, 2, 7, 65, 66, 130};
    loop_turn(l, 0);
    for (int i = 0; i < 6; i++)
        arm(l, &p[i], ms[i]);
    CHECK_EQ_INT(loop_live(l), 6);
    loop_run(l);
    for (int i = 0; i < 6; i++) {
        uint64_t took = p[i].fired_us - p[i].armed_us;
        CHECK_EQ_INT(p[i].fired, 1);
        // The turn's time may be older than our clock by what this test did in it: under a
        // millisecond.
        if (!CHECK(took + 1000 >= ms[i] * 1000))
            TEST_NOTE("%d: %d us", i, (int)took);
        if (!CHECK(took < ms[i] * 1000 + 100000))
            TEST_NOTE("%d: %d us", i, (int)took);
    }
    CHECK_EQ_INT(loop_live(l), 0);
    loop_destroy(l);
}

TEST(a_rearmed_timer_keeps_only_its_last_deadline)
{
    loop_t *l = loop_create();
    probe_t p = {0};
    arm(l, &p, 1);
    arm(l, &p, 40);
    loop_run(l);
    CHECK_EQ_INT(p.fired, 1);
    CHECK(p.fired_us - p.armed_us >= 39000);
    arm(l, &p, 5000);
    arm(l, &p, 1);
    loop_run(l);
    CHECK_EQ_INT(p.fired, 2);
    CHECK(p.fired_us - p.armed_us < 2000000);
    loop_destroy(l);
}

TEST(a_stopped_timer_does_not_hold_the_loop)
{
    loop_t *l = loop_create();
    probe_t p = {0};
    arm(l, &p, 100000);
    io_timer_stop(&p.timer);
    io_timer_stop(&p.timer);
    CHECK_EQ_INT(loop_live(l), 0);
    uint64_t before = clock_mono_us();
    loop_run(l);
    CHECK(clock_mono_us() - before < 5000000);
    CHECK_EQ_INT(p.fired, 0);
    loop_destroy(l);
}

TEST(a_timer_may_stop_another_due_in_the_same_turn)
{
    loop_t *l = loop_create();
    probe_t a = {0}, b = {0};
    a.victim = &b;
    b.victim = &a;
    arm(l, &a, 3);
    arm(l, &b, 3);
    loop_run(l);
    CHECK_EQ_INT(a.fired + b.fired, 1);
    loop_destroy(l);
}

TEST(a_timer_may_rearm_itself_with_no_delay)
{
    loop_t *l = loop_create();
    probe_t p = {.again = 50};
    arm(l, &p, 0);
    loop_run(l);
    CHECK_EQ_INT(p.fired, 51);
    loop_destroy(l);
}

static char order[16];

static void note(char c)
{
    size_t n = strlen(order);
    if (CHECK(n + 1 < sizeof order))
        order[n] = c;
}

static io_defer_t first, second, third;
static loop_t *defer_loop;

static void on_first(io_defer_t *d)
{
    note('1');
    io_defer_stop(&second);
    io_defer_start(defer_loop, &third);
    io_defer_start(defer_loop, &third);
    CHECK(!d->pending);
}

static void on_second(io_defer_t *d)
{
    (void)d;
    note('2');
}

static void on_third(io_defer_t *d)
{
    static int times;
    note('3');
    if (times++ < 3)
        io_defer_start(defer_loop, d);
}

TEST(deferred_calls_run_in_order_and_may_defer_again)
{
    loop_t *l = defer_loop = loop_create();
    memset(order, 0, sizeof order);
    io_defer_init(&first, on_first);
    io_defer_init(&second, on_second);
    io_defer_init(&third, on_third);
    io_defer_start(l, &first);
    io_defer_start(l, &second);
    loop_run(l);
    CHECK_EQ_STR(order, "13333");
    loop_destroy(l);
}

TEST(a_deferred_call_from_a_timer_runs_before_the_next_poll)
{
    loop_t *l = loop_create();
    memset(order, 0, sizeof order);
    io_defer_init(&second, on_second);
    io_defer_start(l, &second);
    uint64_t before = clock_mono_us();
    loop_turn(l, 5000);
    CHECK_EQ_STR(order, "2");
    CHECK(clock_mono_us() - before < 2000000);
    loop_destroy(l);
}

static int worked;

static void work(void *arg)
{
    ++*(int *)arg;
}

static void work_done(void *arg)
{
    worked = ++*(int *)arg;
}

TEST(pool_work_comes_back)
{
    loop_t *l = loop_create();
    int n = 0;
    loop_queue_work(l, work, work_done, &n);
    CHECK_EQ_INT(loop_live(l), 1);
    loop_run(l);
    CHECK_EQ_INT(worked, 2);
    CHECK_EQ_INT(loop_live(l), 0);
    loop_destroy(l);
}

static void on_signal(void *arg, int signum)
{
    io_signal_t **s = arg;
    CHECK_EQ_INT(signum, SIGUSR1);
    loop_signal_stop(*s);
    *s = NULL;
}

TEST(signals_reach_the_loop)
{
    loop_t *l = loop_create();
    io_signal_t *s = loop_signal_start(l, SIGUSR1, on_signal, &s);
    kill(getpid(), SIGUSR1);
    loop_run(l);
    CHECK(s == NULL);
    CHECK_EQ_INT(loop_live(l), 0);
    loop_destroy(l);
}

static io_watch_t *watch;

static void on_readable(void *arg, int fd)
{
    char c = 0;
    CHECK_EQ_INT(read(fd, &c, 1), 1);
    *(char *)arg = c;
    if (c == 'b')
        loop_watch_stop(watch);
}

TEST(a_watch_tells_of_a_readable_pipe)
{
    loop_t *l = loop_create();
    int fds[2];
    char got = 0;
    CHECK_EQ_INT(pipe(fds), 0);
    watch = loop_watch_start(l, fds[0], on_readable, &got);
    CHECK_EQ_INT(write(fds[1], "ab", 2), 2);
    loop_run(l);
    CHECK_EQ_INT(got, 'b');
    CHECK_EQ_INT(write(fds[1], "c", 1), 1); // the descriptor is still ours
    close(fds[0]);
    close(fds[1]);
    CHECK_EQ_INT(loop_live(l), 0);
    loop_destroy(l);
}
