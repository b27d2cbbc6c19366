// Names that plugins give field lines: checked, looked up, kept.
#include "test.h"

#include "base/err.h"
#include "core/field_name.h"

static arena_t arena;

static int take(const char *given, str_t *name, hdr_id_t *id)
{
    return field_name_take(&arena, str_from(given), name, id);
}

TEST(a_name_is_the_same_the_second_time)
{
    static const char *const NAMES[] = {
        "X-RateLimit-Limit-Minute",
        "x-a",
        "Content-Type",
        "X-An-Exceedingly-Long-Name-Of-A-Field-That-Nobody-Keeps",
        "te",
        "Via"};
    arena_init(&arena);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
            str_t name;
            hdr_id_t id;
            CHECK_EQ_INT(take(NAMES[i], &name, &id), 0);
            CHECK_EQ_STR(name, NAMES[i]);
            CHECK_EQ_INT(id, hdr_lookup(str_from(NAMES[i])));
        }
    }
    arena_dispose(&arena);
}

TEST(what_is_no_name_never_is)
{
    static const char *const BAD[] = {"", "a b", "x:y", "abc\r\n", "X-Caf\xc3\xa9", "name "};
    arena_init(&arena);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
            str_t name;
            hdr_id_t id;
            CHECK_EQ_INT(take(BAD[i], &name, &id), ERR_INVALID);
        }
    }
    arena_dispose(&arena);
}

TEST(more_names_than_places_all_come_back)
{
    arena_init(&arena);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2000; i++) {
            char given[32];
            str_t name;
            hdr_id_t id;
            snprintf(given, sizeof given, "X-%d-Name", i);
            CHECK_EQ_INT(take(given, &name, &id), 0);
            CHECK_EQ_STR(name, given);
            CHECK_EQ_INT(id, HDR_OTHER);
        }
    }
    arena_dispose(&arena);
}

TEST(case_is_kept_as_given)
{
    str_t upper, lower;
    hdr_id_t id;
    arena_init(&arena);
    CHECK_EQ_INT(take("X-Case", &upper, &id), 0);
    CHECK_EQ_INT(take("x-case", &lower, &id), 0);
    CHECK_EQ_STR(upper, "X-Case");
    CHECK_EQ_STR(lower, "x-case");
    arena_dispose(&arena);
}
