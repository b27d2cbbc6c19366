// Facts as lines; see load.h.
#include "core/load.h"

void load_dispose(load_t *l)
{
    buf_dispose(&l->document);
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
