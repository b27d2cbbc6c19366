// PCRE2 behind pattern.h. The limits bound what one request can burn: about a millisecond, 4 MiB, no recursion on our stack.
#include "config/pattern.h"

#include "base/check.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

enum {
    MATCH_STEPS_MAX = 100000,
    DEPTH_MAX = 20000,
    HEAP_MAX_KIB = 4096,
    JIT_STACK_MIN = 16 * 1024,
    JIT_STACK_MAX = 1024 * 1024,
    GROUPS_MAX = 64,
};

struct pattern {
    pcre2_code *code;
    str_t names[GROUPS_MAX];
};

struct matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static void free_code(void *arg)
{
    pcre2_code_free(arg);
}

static void read_names(arena_t *a, pattern_t *p)
{
    uint32_t count = 0, size = 0;
    PCRE2_SPTR at = NULL;
    pcre2_pattern_info(p->code, PCRE2_INFO_NAMECOUNT, &count);
    pcre2_pattern_info(p->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(p->code, PCRE2_INFO_NAMETABLE, &at);
    for (uint32_t i = 0; i < count; i++, at += size) {
        unsigned group = (unsigned)at[0] << 8 | at[1];
        if (group < GROUPS_MAX)
            p->names[group] = arena_dup(a, str_from((const char *)at + 2));
    }
}

int pattern_compile(arena_t *a, str_t text, unsigned flags, pattern_t **out, char *why,
                    size_t why_cap)
{
    int code;
    PCRE2_SIZE at;
    uint32_t options = PCRE2_NEVER_BACKSLASH_C;
    if (text.n > PATTERN_BYTES_MAX) {
        snprintf(why, why_cap, "longer than %d bytes", PATTERN_BYTES_MAX);
        return -1;
    }
    if (flags & PATTERN_ANCHORED)
        options |= PCRE2_ANCHORED;
    if (flags & PATTERN_CASELESS)
        options |= PCRE2_CASELESS;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)(text.p ? text.p : ""), text.n, options, &code, &at, NULL);
    if (!compiled) {
        PCRE2_UCHAR message[160] = "";
        pcre2_get_error_message(code, message, sizeof message);
        snprintf(why, why_cap, "%s at offset %zu", (const char *)message, (size_t)at);
        return -1;
    }
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); // without a JIT the interpreter does it
    pattern_t *p = arena_zalloc(a, sizeof *p);
    p->code = compiled;
    arena_defer(a, free_code, compiled);
    read_names(a, p);
    *out = p;
    return 0;
}

str_t pattern_capture_name(const pattern_t *p, uint32_t i)
{
    return i < GROUPS_MAX ? p->names[i] : (str_t){0};
}

static void free_matcher(void *arg)
{
    matcher_t *m = arg;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
}

matcher_t *matcher_create(arena_t *a)
{
    matcher_t *m = arena_zalloc(a, sizeof *m);
    m->data = pcre2_match_data_create(GROUPS_MAX, NULL);
    m->context = pcre2_match_context_create(NULL);
    ASSERT(m->data && m->context, "out of memory");
    m->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL); // NULL without a JIT
    pcre2_set_match_limit(m->context, MATCH_STEPS_MAX);
    pcre2_set_depth_limit(m->context, DEPTH_MAX);
    pcre2_set_heap_limit(m->context, HEAP_MAX_KIB);
    if (m->stack)
        pcre2_jit_stack_assign(m->context, NULL, m->stack);
    arena_defer(a, free_matcher, m);
    return m;
}

int matcher_run(matcher_t *m, const pattern_t *p, str_t subject, const size_t **spans)
{
    int n = pcre2_match(p->code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0,
                        m->data, m->context);
    if (n == PCRE2_ERROR_NOMATCH)
        return 0;
    if (n < 0)
        return -1;
    *spans = pcre2_get_ovector_pointer(m->data);
    return n == 0 ? GROUPS_MAX : n;
}
