// Facts as lines; see load.h.
#include "core/load.h"

void load_dispose(load_t *l)
{
    buf_dispose(&l->document);
    buf_dispose(&l->admin);
    buf_dispose(&l->problems);
    buf_dispose(&l->facts);
}

bool facts_next(str_t *facts, str_t *name, str_t *value)
{
    if (facts->n == 0)
        return false;
    ptrdiff_t end = str_chr(*facts, '\n');
    str_t line = str_make(facts->p, end < 0 ? facts->n : (size_t)end);
    *facts = str_from_at(*facts, line.n + 1);
    ptrdiff_t space = str_chr(line, ' ');
    *name = str_make(line.p, space < 0 ? line.n : (size_t)space);
    *value = str_from_at(line, name->n + 1);
    return true;
}

str_t facts_get(str_t facts, str_t wanted)
{
    str_t name, value;
    while (facts_next(&facts, &name, &value)) {
        if (str_eq(name, wanted))
            return value;
    }
    return (str_t){0};
}

static size_t digits(str_t s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && s.p[at + n] >= '0' && s.p[at + n] <= '9')
        n++;
    return n;
}

static void split(str_t line, problem_t *out)
{
    *out = (problem_t){.message = line};
    for (size_t i = 1; i + 1 < line.n; i++) {
        size_t n = line.p[i] == ':' ? digits(line, i + 1) : 0, at = i + 1 + n, column_n = 0;
        if (n == 0)
            continue;
        if (at < line.n && line.p[at] == ':')
            column_n = digits(line, at + 1);
        size_t end = at + (column_n ? 1 + column_n : 0);
        if (end + 1 >= line.n || line.p[end] != ':' || line.p[end + 1] != ' ')
            continue;
        out->file = str_make(line.p, i);
        out->message = str_from_at(line, end + 2);
        if (str_to_u64(str_make(line.p + i + 1, n), &out->line) != 0)
            out->line = 0;
        if (column_n && str_to_u64(str_make(line.p + at + 1, column_n), &out->column) != 0)
            out->column = 0;
        return;
    }
}

bool problems_next(str_t *problems, problem_t *out)
{
    while (problems->n > 0) {
        ptrdiff_t end = str_chr(*problems, '\n');
        str_t line = str_make(problems->p, end < 0 ? problems->n : (size_t)end);
        *problems = str_from_at(*problems, line.n + 1);
        if (line.n == 0)
            continue;
        split(line, out);
        return true;
    }
    return false;
}
