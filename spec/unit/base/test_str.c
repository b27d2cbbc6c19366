// Slices: comparing, searching, numbers and comma-separated lists.
#include "test.h"

TEST(equality_is_by_bytes_and_the_empty_slices_are_equal)
{
    CHECK(str_eq(STR("abc"), STR("abc")));
    CHECK(!str_eq(STR("abc"), STR("abd")));
    CHECK(!str_eq(STR("abc"), STR("ab")));
    CHECK(str_eq(str_make(NULL, 0), STR("")));
    CHECK(str_ieq(STR("Content-LENGTH"), STR("content-length")));
    CHECK(!str_ieq(STR("a["), STR("a{")));
}

TEST(prefix_and_suffix)
{
    CHECK(str_starts(STR("/api/v1"), STR("/api")));
    CHECK(!str_starts(STR("/ap"), STR("/api")));
    CHECK(str_starts(STR("x"), STR("")));
    CHECK(str_ends(STR("a.example.com"), STR(".example.com")));
    CHECK(!str_ends(STR("com"), STR(".com")));
    CHECK_EQ_STR(str_from_at(STR("abc"), 1), "bc");
    CHECK_EQ_STR(str_from_at(STR("abc"), 9), "");
}

TEST(searching)
{
    CHECK_EQ_INT(str_chr(STR("a:b:"), ':'), 1);
    CHECK_EQ_INT(str_chr(STR("ab"), ':'), -1);
    CHECK_EQ_INT(str_find(STR("aabaac"), STR("aac")), 3);
    CHECK_EQ_INT(str_find(STR("aa"), STR("aaa")), -1);
    CHECK_EQ_INT(str_find(STR("aa"), STR("")), 0);
}

TEST(trim_takes_only_spaces_and_tabs)
{
    CHECK_EQ_STR(str_trim(STR(" \t x y\t ")), "x y");
    CHECK_EQ_STR(str_trim(STR(" \t ")), "");
    CHECK_EQ_STR(str_trim(STR("\rx")), "\rx");
}

TEST(numbers_are_digits_only_and_do_not_overflow)
{
    static const struct {
        const char *in;
        int result;
        uint64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -1, 0},
        {"99999999999999999999999", -1, 0},
        {"", -1, 0},
        {"+1", -1, 0},
        {"-1", -1, 0},
        {" 1", -1, 0},
        {"1 ", -1, 0},
        {"0x1", -1, 0},
        {"1,1", -1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t value = 0;
        bool ok = CHECK_EQ_INT(str_to_u64(str_from(cases[i].in), &value), cases[i].result);
        ok = CHECK(value == cases[i].value) && ok;
        if (!ok)
            TEST_NOTE("input \"%s\"", cases[i].in);
    }
}

TEST(lists_skip_empty_elements)
{
    str_t rest = STR(" , a ,, b;q=1\t,"), item;
    CHECK(str_list_next(&rest, &item));
    CHECK_EQ_STR(item, "a");
    CHECK(str_list_next(&rest, &item));
    CHECK_EQ_STR(item, "b;q=1");
    CHECK(!str_list_next(&rest, &item));
    CHECK(!str_list_next(&rest, &item));
}
