// The whole C unit test kit: TEST(name) { ... } registers itself, CHECKs count, main() runs all.
// It is not a mocking kit; a fake is a plain struct in the test. Include it in exactly one file of a program.
// A test passes when none of its checks failed. `./test_x name` runs only tests whose name contains it.
#pragma once

#include "base/str.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

static struct test *test_first, **test_last = &test_first;
static int test_bad; // failed checks of the running test

#define TEST(name)                                                                             \
    static void test_##name(void);                                                             \
    static struct test test_node_##name = {#name, test_##name, NULL};                          \
    __attribute__((constructor)) static void test_add_##name(void)                             \
    {                                                                                          \
        *test_last = &test_node_##name;                                                        \
        test_last = &test_node_##name.next;                                                    \
    }                                                                                          \
    static void test_##name(void)

// Each CHECK is an expression: true when it held, so that `if (!CHECK(p)) return;` works.
#define CHECK(cond) test_check((cond), __FILE__, __LINE__, #cond)
#define CHECK_EQ_INT(got, want)                                                                \
    test_check_int((intmax_t)(got), (intmax_t)(want), __FILE__, __LINE__, #got)
// Either side may be a str_t or a C string.
#define CHECK_EQ_STR(got, want)                                                                \
    test_check_str(TEST_STR(got), TEST_STR(want), __FILE__, __LINE__, #got)
// Context for checks in a loop, printf-style: if (!CHECK(x)) TEST_NOTE("case %d", i);
#define TEST_NOTE(...) ((void)fprintf(stderr, "    " __VA_ARGS__), (void)fputc('\n', stderr))

#define TEST_STR(s)                                                                            \
    _Generic((s), str_t : test_same, char * : str_from, const char * : str_from)(s)

__attribute__((unused)) static inline str_t test_same(str_t s)
{
    return s;
}

__attribute__((unused)) static bool test_check(bool ok, const char *file, int line,
                                               const char *what)
{
    if (!ok) {
        test_bad++;
        fprintf(stderr, "  %s:%d: %s\n", file, line, what);
    }
    return ok;
}

__attribute__((unused)) static bool test_check_int(intmax_t got, intmax_t want,
                                                   const char *file, int line, const char *what)
{
    if (got == want)
        return true;
    test_bad++;
    fprintf(stderr, "  %s:%d: %s is %" PRIdMAX ", not %" PRIdMAX "\n", file, line, what, got,
            want);
    return false;
}

__attribute__((unused)) static void test_print_bytes(str_t s)
{
    fputc('"', stderr);
    for (size_t i = 0; i < s.n && i < 400; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\r' || c == '\n')
            fputs(c == '\r' ? "\\r" : "\\n", stderr);
        else if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
            fprintf(stderr, "\\x%02x", c);
        else
            fputc(c, stderr);
    }
    fprintf(stderr, "\"%s", s.n > 400 ? "..." : "");
}

__attribute__((unused)) static bool test_check_str(str_t got, str_t want, const char *file,
                                                   int line, const char *what)
{
    if (str_eq(got, want))
        return true;
    test_bad++;
    fprintf(stderr, "  %s:%d: %s is ", file, line, what);
    test_print_bytes(got);
    fputs(", not ", stderr);
    test_print_bytes(want);
    fputc('\n', stderr);
    return false;
}

int main(int argc, char **argv)
{
    int passed = 0, failed = 0;
    for (struct test *t = test_first; t; t = t->next) {
        if (argc > 1 && !strstr(t->name, argv[1]))
            continue;
        test_bad = 0;
        t->run();
        if (test_bad) {
            fprintf(stderr, "FAIL %s\n", t->name);
            failed++;
        } else {
            passed++;
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
