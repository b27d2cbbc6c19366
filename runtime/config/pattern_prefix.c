// Which literal bytes begin every match of a regex. Errs on the side of fewer: what it does not understand ends the prefix.
#include "config/pattern.h"

// Groups that change nothing about what stands before them: (?: (?= (?! (?> (?< (?P<.
static bool is_known_group(str_t text, size_t at)
{
    static const char *const known[] = {"(?:", "(?=", "(?!", "(?>", "(?<", "(?P<"};
    str_t rest = str_from_at(text, at);
    if (rest.n < 2 || rest.p[1] != '?')
        return !(rest.n >= 2 && rest.p[1] == '*');
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (str_starts(rest, str_from(known[i])))
            return true;
    }
    return false;
}

// The index after a class that opens at `at`; text.n when it does not close.
static size_t class_end(str_t text, size_t at)
{
    size_t i = at + 1;
    if (i < text.n && text.p[i] == '^')
        i++;
    if (i < text.n && text.p[i] == ']')
        i++;
    for (; i < text.n && text.p[i] != ']'; i++) {
        if (text.p[i] == '\\' || (text.p[i] == '[' && i + 1 < text.n && text.p[i + 1] == ':'))
            i++;
    }
    return i + 1;
}

// False when the pattern has an alternative at its top level, or syntax that this file cannot follow.
static bool is_one_branch(str_t text)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.n; i++) {
        switch (text.p[i]) {
        case '\\':
            i++;
            if (i < text.n && strchr("QEc", text.p[i]))
                return false;
            break;
        case '[':
            if (str_find(str_from_at(text, i), STR("[:")) >= 0)
                return false;
            i = class_end(text, i) - 1;
            break;
        case '(':
            if (!is_known_group(text, i))
                return false;
            depth++;
            break;
        case ')':
            depth -= depth > 0;
            break;
        case '|':
            if (depth == 0)
                return false;
            break;
        default:
            break;
        }
    }
    return true;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

str_t pattern_literal_prefix(arena_t *a, str_t text)
{
    if (!is_one_branch(text))
        return STR("");
    char *out = arena_alloc(a, text.n + 1);
    size_t n = 0, i = 0, last = 0; // `last`: what n was before the newest byte
    if (text.n && text.p[0] == '^')
        i = 1;
    for (; i < text.n; i++) {
        char c = text.p[i];
        if (c == '?' || c == '*' || c == '{') {
            n = last; // the byte before it need not be there
            break;
        }
        if (c == '\\') {
            if (i + 1 == text.n || is_alnum(text.p[i + 1]) || (text.p[i + 1] & 0x80))
                break;
            c = text.p[++i];
        } else if (c && strchr(".[]()+|^$", c)) {
            break;
        }
        last = n;
        out[n++] = c;
    }
    return str_make(out, n);
}
