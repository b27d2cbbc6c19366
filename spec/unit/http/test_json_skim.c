// The skimmer: finds members as the strict scanner does in valid texts, cut anywhere it says so and reads nothing behind the end.
#include "http/json.h"
#include "http/json_skim.h"
#include "test.h"

static const char TEXT[] =
    " { \"id\" : \"a\\\"b\\\\\" , \"model\":\"gpt-4o\",\"choices\":[ "
    "{\"message\":{\"content\":\"}]{[\\\"usage\\\":1\"},"
    "\"finish_reason\":\"stop\"} ],\"n\":-1.5e3,\"t\":true,\"z\":null,\"e\":{},\"f\":[],"
    "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":12,\"d\":{\"usage\":9}}} trailing";

TEST(finds_members_at_the_top_level_only)
{
    const str_t names[] = {STR("model"), STR("usage"),  STR("n"),
                           STR("z"),     STR("absent"), STR("f")};
    str_t v[6];
    CHECK_EQ_INT(json_skim(str_from(TEXT), names, v, 6), 0);
    CHECK_EQ_STR(v[0], "\"gpt-4o\"");
    CHECK_EQ_STR(v[1], "{\"prompt_tokens\":7,\"completion_tokens\":12,\"d\":{\"usage\":9}}");
    CHECK_EQ_STR(v[2], "-1.5e3");
    CHECK_EQ_STR(v[3], "null");
    CHECK(v[4].p == NULL);
    CHECK_EQ_STR(v[5], "[]");
}

TEST(agrees_with_the_strict_scanner)
{
    static const char *const KEYS[] = {"id", "model", "choices", "n",    "t",
                                       "z",  "e",     "f",       "usage"};
    str_t object = str_make(TEXT + 1, sizeof TEXT - 1 - 1 - sizeof " trailing" + 1);
    for (size_t i = 0; i < sizeof KEYS / sizeof KEYS[0]; i++) {
        str_t name = str_from(KEYS[i]), skimmed, strict;
        CHECK_EQ_INT(json_skim(object, &name, &skimmed, 1), 0);
        CHECK(json_get(object, name, &strict));
        CHECK(skimmed.p == strict.p && skimmed.n == strict.n);
    }
}

TEST(cut_at_every_byte_it_is_unfinished)
{
    const str_t name = STR("usage");
    size_t whole = sizeof TEXT - sizeof " trailing";
    for (size_t n = 0; n < whole; n++) {
        char *copy = malloc(n ? n : 1); // so that a sanitizer sees reads behind the end
        memcpy(copy, TEXT, n);
        str_t value;
        CHECK_EQ_INT(json_skim(str_make(copy, n), &name, &value, 1), -1);
        free(copy);
    }
}

TEST(refuses_what_is_no_object)
{
    static const char *const TEXTS[] = {
        "", " ", "[]", "1", "\"a\"", "{\"a\"}", "{\"a\":1,}", "{a:1}", "{\"a\":1 \"b\":2}"};
    const str_t name = STR("x");
    str_t value;
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
        CHECK_EQ_INT(json_skim(str_from(TEXTS[i]), &name, &value, 1), -1);
    CHECK_EQ_INT(json_skim(STR("{}"), &name, &value, 1), 0);
    CHECK_EQ_INT(json_skim(STR(" { } "), &name, &value, 1), 0);
}

TEST(the_last_of_equal_names_wins)
{
    const str_t name = STR("a");
    str_t value;
    CHECK_EQ_INT(json_skim(STR("{\"a\":1,\"a\":[2]}"), &name, &value, 1), 0);
    CHECK_EQ_STR(value, "[2]");
}
