// Reads the case files of spec/data/http: one case a line, fields separated by TAB, the last
// one escaped. Not a general reader: files of ours only; a missing file ends the test program.
#pragma once

#include "base/buf.h"
#include "http/bytes.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct cases {
    buf_t text, payload;
    str_t rest;
    str_t field[3]; // what stands before the payload
} cases_t;

static inline void cases_open(cases_t *c, const char *path)
{
    *c = (cases_t){0};
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "cannot open %s: run from the root of the source tree\n", path);
        exit(2);
    }
    char block[4096];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        buf_append(&c->text, str_make(block, n));
    fclose(f);
    c->rest = buf_str(&c->text);
}

static inline void cases_close(cases_t *c)
{
    buf_dispose(&c->text);
    buf_dispose(&c->payload);
}

static inline void cases_unescape(buf_t *out, str_t s)
{
    buf_clear(out);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '\\') {
            buf_putc(out, s.p[i]);
            continue;
        }
        char kind = s.p[++i];
        if (kind == 'x') {
            buf_putc(out, (char)(hex_digit(s.p[i + 1]) << 4 | hex_digit(s.p[i + 2])));
            i += 2;
        } else {
            buf_putc(out, kind == 'r' ? '\r' : kind == 'n' ? '\n' : kind);
        }
    }
}

// The next case: `fields` of them before the payload. False at the end.
static inline bool cases_next(cases_t *c, int fields, str_t *payload)
{
    while (c->rest.n) {
        ptrdiff_t n = str_chr(c->rest, '\n');
        str_t line = n < 0 ? c->rest : str_make(c->rest.p, (size_t)n);
        c->rest = str_from_at(c->rest, line.n + 1);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        for (int i = 0; i < fields; i++) {
            size_t tab = (size_t)str_chr(line, '\t');
            c->field[i] = str_make(line.p, tab);
            line = str_from_at(line, tab + 1);
        }
        cases_unescape(&c->payload, line);
        *payload = buf_str(&c->payload);
        return true;
    }
    return false;
}
