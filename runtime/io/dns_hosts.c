// Reads the hosts file once; the resolver looks here before it asks a server.
#include "io/dns_hosts.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"

enum { NAMES_MAX = 65536, FILE_MAX_BYTES = 4 << 20, NAME_MAX_BYTES = 255 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

// The next word of a line; empty at its end.
static str_t next_word(str_t *line)
{
    size_t i = 0;
    while (i < line->n && is_blank(line->p[i]))
        i++;
    size_t from = i;
    while (i < line->n && !is_blank(line->p[i]))
        i++;
    str_t word = str_make(line->p + from, i - from);
    *line = str_from_at(*line, i);
    return word;
}

static void add(hosts_t *h, str_t name, const addr_t *addr)
{
    if (h->n == NAMES_MAX || name.n > NAME_MAX_BYTES)
        return;
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 16;
        h->lines = mem_realloc(h->lines, h->cap * sizeof *h->lines);
    }
    host_line_t *line = &h->lines[h->n];
    *line =
        (host_line_t){.name = mem_alloc(name.n + 1), .addr = *addr, .order = (unsigned)h->n};
    for (size_t i = 0; i < name.n; i++)
        line->name[i] = ascii_lower(name.p[i]);
    line->name[name.n] = 0;
    h->n++;
}

static void parse_line(hosts_t *h, str_t line)
{
    addr_t addr;
    ptrdiff_t comment = str_chr(line, '#');
    if (comment >= 0)
        line.n = (size_t)comment;
    if (addr_from_ip(next_word(&line), 0, &addr) != 0)
        return;
    for (str_t name = next_word(&line); name.n > 0; name = next_word(&line))
        add(h, name, &addr);
}

static int by_name(const void *a, const void *b)
{
    const host_line_t *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : (x->order > y->order) - (x->order < y->order);
}

void hosts_parse(hosts_t *h, str_t text)
{
    ASSERT(h->n == 0, "a hosts table is filled once");
    while (text.n > 0) {
        ptrdiff_t end = str_chr(text, '\n');
        size_t n = end < 0 ? text.n : (size_t)end;
        parse_line(h, str_make(text.p, n));
        text = str_from_at(text, n + 1);
    }
    if (h->n > 1)
        qsort(h->lines, h->n, sizeof *h->lines, by_name);
}

void hosts_load(hosts_t *h, const char *path)
{
    buf_t b = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    while (b.n < FILE_MAX_BYTES) {
        ssize_t n = read(fd, buf_reserve(&b, 16384), 16384);
        if (n <= 0)
            break;
        buf_commit(&b, (size_t)n);
    }
    close(fd);
    hosts_parse(h, buf_str(&b));
    buf_dispose(&b);
}

void hosts_dispose(hosts_t *h)
{
    for (size_t i = 0; i < h->n; i++)
        free(h->lines[i].name);
    free(h->lines);
    *h = (hosts_t){0};
}

static int compare(str_t name, const char *other)
{
    size_t n = strlen(other), least = name.n < n ? name.n : n;
    int c = memcmp(name.p, other, least);
    return c ? c : (name.n > n) - (name.n < n);
}

size_t hosts_find(const hosts_t *h, str_t name, const host_line_t **first)
{
    size_t low = 0, high = h->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare(name, h->lines[mid].name) > 0)
            low = mid + 1;
        else
            high = mid;
    }
    size_t n = 0;
    while (low + n < h->n && compare(name, h->lines[low + n].name) == 0)
        n++;
    *first = n ? &h->lines[low] : NULL;
    return n;
}
