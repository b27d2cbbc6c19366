// The node's trust anchors: read ahead on a pool thread or when they are needed, once.
#include <stdlib.h>

#include "core/anchors.h"
#include "test.h"

typedef struct fixture {
    loop_t *loop;
    char *pem, *key;
    anchors_t *anchors;
} fixture_t;

static void open_fixture(fixture_t *f)
{
    f->loop = loop_create();
    CHECK_EQ_INT(tls_self_signed(STR("a.test"), &f->pem, &f->key), 0);
    f->anchors = anchors_create(f->loop, str_from(f->pem));
}

static void close_fixture(fixture_t *f)
{
    anchors_destroy(f->anchors);
    CHECK_EQ_INT(loop_live(f->loop), 0);
    loop_destroy(f->loop);
    free(f->pem);
    free(f->key);
}

TEST(what_was_read_ahead_is_what_all_get)
{
    fixture_t f;
    const char *why = NULL;
    open_fixture(&f);
    anchors_read_ahead(f.anchors);
    anchors_read_ahead(f.anchors); // one reading is enough
    CHECK_EQ_INT(loop_live(f.loop), 1);
    while (loop_live(f.loop))
        loop_turn(f.loop, 10);
    tls_store_t *store = anchors_get(f.anchors, &why);
    CHECK_EQ_INT(tls_store_count(store), 1);
    anchors_read_ahead(f.anchors);
    CHECK_EQ_INT(loop_live(f.loop), 0);
    CHECK(anchors_get(f.anchors, &why) == store);
    close_fixture(&f);
}

TEST(who_cannot_wait_reads_them_at_once_and_keeps_them)
{
    fixture_t f;
    const char *why = NULL;
    open_fixture(&f);
    anchors_read_ahead(f.anchors);
    tls_store_t *store = anchors_get(f.anchors, &why);
    CHECK_EQ_INT(tls_store_count(store), 1);
    while (loop_live(f.loop))
        loop_turn(f.loop, 10);
    CHECK(anchors_get(f.anchors, &why) == store);
    close_fixture(&f);
}

TEST(their_end_waits_for_the_reading)
{
    fixture_t f;
    open_fixture(&f);
    anchors_read_ahead(f.anchors);
    close_fixture(&f);
}

TEST(what_cannot_be_read_says_why)
{
    const char *why = NULL;
    loop_t *loop = loop_create();
    anchors_t *a = anchors_create(loop, STR("no certificate"));
    anchors_read_ahead(a);
    while (loop_live(loop))
        loop_turn(loop, 10);
    CHECK(anchors_get(a, &why) == NULL);
    CHECK_EQ_STR(why, "CA certificate is not valid PEM: no start line");
    anchors_destroy(a);
    loop_destroy(loop);
}
