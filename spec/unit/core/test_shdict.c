// Shared dictionaries: against a plain model, over several processes, after a process died inside, and how fast.
#include "test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/shdict_stripe.h"

static uint64_t rng = 0x1234567;

static uint32_t rnd(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 20) % below;
}

static shdict_value_t num(double v)
{
    return (shdict_value_t){.type = SHD_NUMBER, .number = v};
}

static shdict_value_t text(str_t v)
{
    return (shdict_value_t){.type = SHD_STRING, .string = v};
}

static int get(shdict_t *d, str_t key, shdict_value_t *out, char *buf, size_t cap)
{
    return shdict_get(d, key, out, buf, cap, false, NULL);
}

static void wait_past(uint64_t ms)
{
    uint64_t until = shdict_now_ms() + ms;
    while (shdict_now_ms() <= until)
        usleep(500);
}

// Every block is in exactly one chain, on the free list, or never used; the order and the buckets hold the same entries.
static bool stripe_sound(stripe_t *s)
{
    uint32_t used = 0, free_blocks = 0, nodes = 0, order = 0;
    for (uint32_t b = 1; b < s->fresh; b++) {
        used += s->blocks[b].kind != BLOCK_FREE;
        nodes += s->blocks[b].kind == BLOCK_NODE || s->blocks[b].kind == BLOCK_LIMIT;
    }
    for (uint32_t b = s->free_first; b; b = s->blocks[b].next)
        free_blocks++;
    uint32_t newer = 0;
    for (uint32_t b = s->newest; b; newer = b, b = node_at(s, b)->older)
        order += node_at(s, b)->newer == newer;
    return newer == s->oldest && order == s->n_nodes && nodes == s->n_nodes &&
           s->changing == 0 && free_blocks + (s->n_blocks - s->fresh) == s->n_free &&
           used + s->n_free == s->n_blocks - 1;
}

static bool sound(shdict_t *d)
{
    bool ok = true;
    for (uint32_t i = 0; i < d->n_stripes; i++) {
        stripe_lock(&d->stripes[i]);
        ok = ok && stripe_sound(&d->stripes[i]);
        stripe_unlock(&d->stripes[i]);
    }
    return ok;
}

TEST(stores_and_returns_each_type)
{
    shdict_t *d = shdict_create(STR("types"), 1 << 20);
    char buf[64];
    shdict_value_t v = text(STR("hello")), out;
    v.flags = 7;
    CHECK_EQ_INT(shdict_store(d, STR("s"), &v, 0, SHD_SET, false, NULL), SHD_OK);
    CHECK_EQ_INT(get(d, STR("s"), &out, buf, sizeof buf), SHD_OK);
    CHECK_EQ_STR(out.string, "hello");
    CHECK_EQ_INT(out.flags, 7);
    v = (shdict_value_t){.type = SHD_BOOL, .number = 1};
    CHECK_EQ_INT(shdict_store(d, STR("b"), &v, 0, SHD_SET, false, NULL), SHD_OK);
    CHECK_EQ_INT(get(d, STR("b"), &out, buf, sizeof buf), SHD_OK);
    CHECK(out.type == SHD_BOOL && out.number == 1);
    CHECK_EQ_INT(get(d, STR("none"), &out, buf, sizeof buf), SHD_NOT_FOUND);
    CHECK_EQ_INT(get(d, STR(""), &out, buf, sizeof buf), SHD_KEY_INVALID);
    CHECK_EQ_INT(shdict_delete(d, STR("s")), SHD_OK);
    CHECK_EQ_INT(get(d, STR("s"), &out, buf, sizeof buf), SHD_NOT_FOUND);
    CHECK(shdict_find(STR("types")) == d);
    shdict_destroy(d);
    CHECK(shdict_find(STR("types")) == NULL);
}

TEST(says_the_size_when_the_buffer_is_small)
{
    shdict_t *d = shdict_create(STR("small"), 1 << 20);
    char buf[4];
    shdict_value_t v = text(STR("hello")), out;
    shdict_store(d, STR("s"), &v, 0, SHD_SET, false, NULL);
    CHECK_EQ_INT(get(d, STR("s"), &out, buf, sizeof buf), SHD_NO_MEMORY);
    CHECK_EQ_INT(out.string.n, 5);
    shdict_destroy(d);
}

TEST(add_and_replace_look_at_what_is_there)
{
    shdict_t *d = shdict_create(STR("modes"), 1 << 20);
    shdict_value_t one = num(1), two = num(2), out;
    CHECK_EQ_INT(shdict_store(d, STR("k"), &one, 0, SHD_REPLACE, false, NULL), SHD_NOT_FOUND);
    CHECK_EQ_INT(shdict_store(d, STR("k"), &one, 1, SHD_ADD, false, NULL), SHD_OK);
    wait_past(2);
    CHECK_EQ_INT(shdict_store(d, STR("k"), &one, 0, SHD_ADD, false, NULL), SHD_OK);
    CHECK_EQ_INT(shdict_store(d, STR("k"), &two, 0, SHD_ADD, false, NULL), SHD_EXISTS);
    CHECK_EQ_INT(shdict_store(d, STR("k"), &two, 0, SHD_REPLACE, false, NULL), SHD_OK);
    CHECK_EQ_INT(get(d, STR("k"), &out, NULL, 0), SHD_OK);
    CHECK(out.number == 2);
    shdict_destroy(d);
}

TEST(expires_and_gives_stale_on_request)
{
    shdict_t *d = shdict_create(STR("ttl"), 1 << 20);
    char buf[16];
    bool stale = false;
    int64_t ttl = -1;
    shdict_value_t v = text(STR("v")), out;
    shdict_store(d, STR("k"), &v, 60000, SHD_SET, false, NULL);
    CHECK_EQ_INT(shdict_ttl(d, STR("k"), &ttl), SHD_OK);
    CHECK(ttl > 59000 && ttl <= 60000);
    CHECK_EQ_INT(shdict_expire(d, STR("k"), 1), SHD_OK);
    wait_past(2);
    CHECK_EQ_INT(get(d, STR("k"), &out, buf, sizeof buf), SHD_NOT_FOUND);
    CHECK_EQ_INT(shdict_ttl(d, STR("k"), &ttl), SHD_NOT_FOUND);
    CHECK_EQ_INT(shdict_get(d, STR("k"), &out, buf, sizeof buf, true, &stale), SHD_OK);
    CHECK(stale);
    CHECK_EQ_STR(out.string, "v");
    CHECK_EQ_INT(shdict_flush_expired(d, 0), 1);
    CHECK_EQ_INT(shdict_get(d, STR("k"), &out, buf, sizeof buf, true, &stale), SHD_NOT_FOUND);
    shdict_destroy(d);
}

TEST(incr_adds_and_makes)
{
    shdict_t *d = shdict_create(STR("incr"), 1 << 20);
    double out = 0, ten = 10;
    shdict_value_t v = text(STR("v"));
    CHECK_EQ_INT(shdict_incr(d, STR("k"), 1, NULL, 0, &out, NULL), SHD_NOT_FOUND);
    CHECK_EQ_INT(shdict_incr(d, STR("k"), 1, &ten, 1, &out, NULL), SHD_OK);
    CHECK(out == 11);
    wait_past(2);
    CHECK_EQ_INT(shdict_incr(d, STR("k"), 5, &ten, 0, &out, NULL), SHD_OK);
    CHECK(out == 15);
    CHECK_EQ_INT(shdict_incr(d, STR("k"), -0.5, NULL, 0, &out, NULL), SHD_OK);
    CHECK(out == 14.5);
    shdict_store(d, STR("s"), &v, 0, SHD_SET, false, NULL);
    CHECK_EQ_INT(shdict_incr(d, STR("s"), 1, &ten, 0, &out, NULL), SHD_NOT_A_NUMBER);
    shdict_destroy(d);
}

TEST(lists_keep_their_order)
{
    shdict_t *d = shdict_create(STR("lists"), 1 << 20);
    char buf[400], big[300];
    memset(big, 'b', sizeof big);
    uint32_t len = 0;
    shdict_value_t a = text(STR("a")), b = text(str_make(big, sizeof big)), c = num(3), out;
    CHECK_EQ_INT(shdict_push(d, STR("l"), &a, false, &len), SHD_OK);
    CHECK_EQ_INT(shdict_push(d, STR("l"), &b, false, &len), SHD_OK);
    CHECK_EQ_INT(shdict_push(d, STR("l"), &c, true, &len), SHD_OK);
    CHECK_EQ_INT(len, 3);
    CHECK_EQ_INT(get(d, STR("l"), &out, buf, sizeof buf), SHD_IS_LIST);
    CHECK_EQ_INT(shdict_pop(d, STR("l"), false, &out, buf, 10), SHD_NO_MEMORY);
    CHECK_EQ_INT(shdict_pop(d, STR("l"), false, &out, buf, sizeof buf), SHD_OK);
    CHECK_EQ_STR(out.string, str_make(big, sizeof big));
    CHECK_EQ_INT(shdict_pop(d, STR("l"), true, &out, buf, sizeof buf), SHD_OK);
    CHECK(out.type == SHD_NUMBER && out.number == 3);
    CHECK_EQ_INT(shdict_pop(d, STR("l"), true, &out, buf, sizeof buf), SHD_OK);
    CHECK_EQ_STR(out.string, "a");
    CHECK_EQ_INT(shdict_pop(d, STR("l"), true, &out, buf, sizeof buf), SHD_NOT_FOUND);
    CHECK_EQ_INT(shdict_len(d, STR("l"), &len), SHD_OK);
    CHECK_EQ_INT(len, 0);
    shdict_store(d, STR("v"), &c, 0, SHD_SET, false, NULL);
    CHECK_EQ_INT(shdict_push(d, STR("v"), &a, true, &len), SHD_NOT_A_LIST);
    CHECK(sound(d));
    shdict_destroy(d);
}

TEST(evicts_the_oldest_and_safe_does_not)
{
    shdict_t *d = shdict_create(STR("full"), 16 * 1024);
    char value[1000], key[16];
    memset(value, 'x', sizeof value);
    shdict_value_t v = text(str_make(value, sizeof value)), out;
    bool forcible = false;
    int i = 0, rc;
    while ((rc = (snprintf(key, sizeof key, "k%d", i),
                  shdict_store(d, str_from(key), &v, 0, SHD_SET, true, &forcible))) == SHD_OK)
        i++;
    CHECK_EQ_INT(rc, SHD_NO_MEMORY);
    CHECK(i > 5 && !forcible);
    CHECK_EQ_INT(get(d, STR("k0"), &out, value, sizeof value),
                 SHD_OK); // used: k1 is now the oldest
    CHECK_EQ_INT(shdict_store(d, STR("new"), &v, 0, SHD_SET, false, &forcible), SHD_OK);
    CHECK(forcible);
    CHECK_EQ_INT(get(d, STR("k1"), &out, value, sizeof value), SHD_NOT_FOUND);
    CHECK_EQ_INT(get(d, STR("k0"), &out, value, sizeof value), SHD_OK);
    char *huge = calloc(1, 20000);
    v = text(str_make(huge, 20000));
    CHECK_EQ_INT(shdict_store(d, STR("huge"), &v, 0, SHD_SET, false, &forcible), SHD_NO_MEMORY);
    CHECK_EQ_INT(get(d, STR("k0"), &out, value, sizeof value), SHD_OK);
    free(huge);
    CHECK(sound(d));
    shdict_destroy(d);
}

TEST(expired_entries_make_room_first)
{
    shdict_t *d = shdict_create(STR("room"), 16 * 1024);
    char value[1000], key[16];
    memset(value, 'x', sizeof value);
    shdict_value_t v = text(str_make(value, sizeof value)), out;
    bool forcible;
    shdict_store(d, STR("keep"), &v, 0, SHD_SET, true, &forcible);
    for (int i = 0; snprintf(key, sizeof key, "k%d", i),
             shdict_store(d, str_from(key), &v, 1, SHD_SET, true, &forcible) == SHD_OK;
         i++)
        ;
    wait_past(2);
    CHECK_EQ_INT(shdict_store(d, STR("new"), &v, 0, SHD_SET, true, &forcible), SHD_OK);
    CHECK_EQ_INT(get(d, STR("keep"), &out, value, sizeof value), SHD_OK);
    CHECK(sound(d));
    shdict_destroy(d);
}

static void count_key(void *arg, str_t key)
{
    *(unsigned *)arg += key.n == 2 && key.p[0] == 'k';
}

TEST(keys_are_listed_and_flushed)
{
    shdict_t *d = shdict_create(STR("keys"), 1 << 20);
    unsigned seen = 0;
    shdict_value_t one = num(1);
    for (char c = 'a'; c <= 'j'; c++)
        shdict_store(d, str_make((char[]){'k', c}, 2), &one, 0, SHD_SET, false, NULL);
    shdict_keys(d, 0, count_key, &seen);
    CHECK_EQ_INT(seen, 10);
    seen = 0;
    shdict_keys(d, 3, count_key, &seen);
    CHECK_EQ_INT(seen, 3);
    shdict_flush_all(d);
    seen = 0;
    shdict_keys(d, 0, count_key, &seen);
    CHECK_EQ_INT(seen, 0);
    CHECK_EQ_INT(shdict_flush_expired(d, 4), 4);
    CHECK_EQ_INT(shdict_flush_expired(d, 0), 6);
    CHECK_EQ_INT(shdict_free_space(d), shdict_capacity(d));
    shdict_destroy(d);
}

// ---- against a model ----

enum { MODEL_KEYS = 300, MODEL_VALUE_MAX = 2000 };

struct model {
    bool there[MODEL_KEYS];
    uint32_t n[MODEL_KEYS];
    char fill[MODEL_KEYS];
    double number[MODEL_KEYS]; // with n == UINT32_MAX
};

static str_t model_key(char *buf, uint32_t k)
{
    int n = snprintf(buf, 400, "key-%u-", k);
    memset(buf + n, 'k', k);
    return str_make(buf, (size_t)n + k);
}

static void model_store(shdict_t *d, struct model *m, uint32_t k, str_t key)
{
    static char value[MODEL_VALUE_MAX];
    m->there[k] = true;
    m->n[k] = rnd(MODEL_VALUE_MAX);
    m->fill[k] = (char)('a' + rnd(26));
    memset(value, m->fill[k], m->n[k]);
    shdict_value_t v = text(str_make(value, m->n[k]));
    CHECK_EQ_INT(shdict_store(d, key, &v, rnd(2) * 1000000, SHD_SET, rnd(2), NULL), SHD_OK);
}

static void model_incr(shdict_t *d, struct model *m, uint32_t k, str_t key)
{
    double zero = 0, out = 0;
    int rc = shdict_incr(d, key, 2, &zero, 0, &out, NULL);
    if (m->there[k] && m->n[k] != UINT32_MAX) {
        CHECK_EQ_INT(rc, SHD_NOT_A_NUMBER);
        return;
    }
    m->number[k] = m->there[k] ? m->number[k] + 2 : 2;
    m->there[k] = true;
    m->n[k] = UINT32_MAX;
    CHECK(rc == SHD_OK && out == m->number[k]);
}

static void model_check(shdict_t *d, const struct model *m, uint32_t k, str_t key)
{
    char buf[MODEL_VALUE_MAX];
    shdict_value_t out;
    int rc = get(d, key, &out, buf, sizeof buf);
    CHECK_EQ_INT(rc, m->there[k] ? SHD_OK : SHD_NOT_FOUND);
    if (rc != SHD_OK)
        return;
    if (m->n[k] == UINT32_MAX) {
        CHECK(out.type == SHD_NUMBER && out.number == m->number[k]);
        return;
    }
    CHECK_EQ_INT(out.string.n, m->n[k]);
    for (size_t i = 0; i < out.string.n; i++) {
        if (!CHECK(out.string.p[i] == m->fill[k]))
            return;
    }
}

TEST(does_as_a_plain_map_does)
{
    shdict_t *d = shdict_create(STR("model"), 8 << 20);
    struct model *m = calloc(1, sizeof *m);
    char buf[400];
    for (int i = 0; i < 60000; i++) {
        uint32_t k = rnd(MODEL_KEYS), op = rnd(10);
        str_t key = model_key(buf, k);
        if (op < 3)
            model_store(d, m, k, key);
        else if (op < 4)
            m->there[k] = (shdict_delete(d, key), false);
        else if (op < 6)
            model_incr(d, m, k, key);
        else
            model_check(d, m, k, key);
    }
    CHECK(sound(d));
    for (uint32_t k = 0; k < MODEL_KEYS; k++)
        shdict_delete(d, model_key(buf, k));
    CHECK_EQ_INT(shdict_free_space(d), shdict_capacity(d));
    free(m);
    shdict_destroy(d);
}

// One random operation of any kind, in a dictionary too small for it.
static void churn(shdict_t *d)
{
    static char value[6000];
    char key[24], buf[6000];
    uint32_t len, k = rnd(400);
    double zero = 0, number;
    unsigned full;
    str_t name = str_make(key, (size_t)snprintf(key, sizeof key, "%u", k));
    shdict_value_t v = text(str_make(value, rnd(6000))), out;
    switch (k % 4) {
    case 0:
        shdict_store(d, name, &v, rnd(3), (shdict_mode_t)rnd(3), rnd(2), NULL);
        break;
    case 1:
        shdict_incr(d, name, 1, &zero, rnd(3), &number, NULL);
        break;
    case 2:
        rnd(2) ? shdict_push(d, name, &v, rnd(2), &len)
               : shdict_pop(d, name, rnd(2), &out, buf, sizeof buf);
        break;
    case 3: {
        limit_window_t w[2] = {{.start_ms = rnd(3), .length_ms = 1 + rnd(2), .limit = 5},
                               {.length_ms = 1000, .limit = 50}};
        shdict_limit_take(d, name, 1, w, 2, &full);
    }
    }
}

TEST(stays_sound_when_it_is_always_full)
{
    shdict_t *d = shdict_create(STR("churn"), 256 * 1024);
    for (int i = 0; i < 40000; i++) {
        churn(d);
        if (i % 1000 == 0 && !CHECK(sound(d)))
            break;
    }
    CHECK(d->stripes[0].evictions > 0);
    CHECK(sound(d));
    shdict_destroy(d);
}

// ---- limits ----

TEST(limit_takes_all_windows_or_none)
{
    shdict_t *d = shdict_create(STR("limit"), 1 << 20);
    limit_window_t w[2] = {{.length_ms = 1000, .limit = 3}, {.length_ms = 60000, .limit = 5}};
    unsigned full = 9;
    for (int i = 0; i < 3; i++)
        CHECK(shdict_limit_take(d, STR("me"), 1, w, 2, &full));
    CHECK(w[0].used == 3 && w[1].used == 3);
    CHECK(!shdict_limit_take(d, STR("me"), 1, w, 2, &full));
    CHECK_EQ_INT(full, 0);
    CHECK(w[0].used == 3 && w[1].used == 3);
    w[0].start_ms = 1000; // the next second of the same minute
    CHECK(shdict_limit_take(d, STR("me"), 2, w, 2, &full));
    CHECK(!shdict_limit_take(d, STR("me"), 1, w, 2, &full));
    CHECK_EQ_INT(full, 1);
    CHECK(shdict_limit_take(d, STR("you"), 1, w, 2, &full));
    w[0].limit = w[1].limit = __builtin_inf();
    CHECK(shdict_limit_take(d, STR("me"), 100, w, 2, &full));
    CHECK(w[1].used == 105);
    CHECK(shdict_limit_take(d, STR("me"), -105, w, 2, &full));
    CHECK(w[0].used == 0 && w[1].used == 0);
    shdict_destroy(d);
}

TEST(limit_counters_are_no_ordinary_keys)
{
    shdict_t *d = shdict_create(STR("limit2"), 1 << 20);
    unsigned full, seen = 0;
    limit_window_t w = {.length_ms = 1000, .limit = 3};
    shdict_value_t out;
    CHECK(shdict_limit_take(d, STR("kk"), 1, &w, 1, &full));
    CHECK_EQ_INT(get(d, STR("kk"), &out, NULL, 0), SHD_NOT_FOUND);
    shdict_keys(d, 0, count_key, &seen);
    CHECK_EQ_INT(seen, 0);
    char *long_key = calloc(1, 70000);
    CHECK(!shdict_limit_take(d, str_make(long_key, 70000), 1, &w, 1, &full));
    free(long_key);
    shdict_destroy(d);
}

enum { PROCESSES = 8 };

static int take_until_refused(shdict_t *d)
{
    int taken = 0;
    unsigned full;
    for (int i = 0; i < 2000; i++) {
        limit_window_t w[2] = {{.length_ms = 600000, .limit = 5000},
                               {.length_ms = 900000, .limit = 100000}};
        taken += shdict_limit_take(d, STR("shared"), 1, w, 2, &full);
    }
    return taken;
}

TEST(limit_is_exact_over_processes)
{
    shdict_t *d = shdict_create(STR("exact"), 1 << 20);
    double zero = 0, sum = 0;
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        if ((pids[i] = fork()) == 0) {
            double out;
            shdict_incr(d, STR("sum"), take_until_refused(d), &zero, 0, &out, NULL);
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++)
        waitpid(pids[i], NULL, 0);
    shdict_incr(d, STR("sum"), 0, &zero, 0, &sum, NULL);
    CHECK_EQ_INT((int)sum, 5000);
    shdict_destroy(d);
}

// ---- death inside ----

static void die_holding(shdict_t *d, str_t key_text, bool changing)
{
    pid_t pid = fork();
    if (pid == 0) {
        shdict_key_t key;
        stripe_t *s = shdict_lock(d, key_text, &key);
        if (changing)
            change_begin(s);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status));
}

TEST(survives_a_death_that_holds_the_lock)
{
    shdict_t *d = shdict_create(STR("death"), 1 << 20);
    shdict_value_t one = num(1), out;
    shdict_store(d, STR("k"), &one, 0, SHD_SET, false, NULL);
    die_holding(d, STR("k"), false);
    CHECK_EQ_INT(get(d, STR("k"), &out, NULL, 0), SHD_OK);
    die_holding(d, STR("k"), true);
    CHECK_EQ_INT(get(d, STR("k"), &out, NULL, 0), SHD_NOT_FOUND);
    CHECK_EQ_INT(shdict_store(d, STR("k"), &one, 0, SHD_SET, false, NULL), SHD_OK);
    CHECK_EQ_INT(get(d, STR("k"), &out, NULL, 0), SHD_OK);
    CHECK(sound(d));
    shdict_destroy(d);
}

TEST(survives_kills_at_any_moment)
{
    shdict_t *d = shdict_create(STR("kills"), 256 * 1024);
    for (int i = 0; i < 40; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            rng += (uint64_t)i * 7919;
            for (;;)
                churn(d);
        }
        usleep(1000 + rnd(3000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        if (!CHECK(sound(d)))
            break;
    }
    shdict_destroy(d);
}

TEST(incr_is_fast)
{
    enum { N = 1000000 };
    shdict_t *d = shdict_create(STR("speed"), 5 << 20);
    double zero = 0, out = 0;
    uint64_t start = clock_mono_us();
    for (int i = 0; i < N; i++)
        shdict_incr(d, STR("ratelimit:some-route:some-service:127.0.0.1:1700000000000:minute"),
                    1, &zero, 0, &out, NULL);
    double ns = (double)(clock_mono_us() - start) * 1000 / N;
    CHECK(out == N);
    printf("  incr: %.0f ns\n", ns);
    start = clock_mono_us();
    for (int i = 0; i < N / 4; i++) {
        unsigned full;
        limit_window_t w[2] = {{.length_ms = 600000, .limit = 1e9},
                               {.length_ms = 900000, .limit = 1e9}};
        shdict_limit_take(d, STR("some-route:127.0.0.1"), 1, w, 2, &full);
    }
    printf("  limit_take, 2 windows: %.0f ns\n",
           (double)(clock_mono_us() - start) * 1000 / (N / 4));
    shdict_destroy(d);
}
