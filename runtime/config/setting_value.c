// Parsers of the kinds of settings; see setting_value.h. One function for each kind.
#include "config/setting_value.h"

#include "base/check.h"
#include "base/log.h"
#include "config/rule.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

typedef struct parse {
    settings_t *s;
    const setting_row_t *row;
    char *why;
    size_t why_cap;
} parse_t;

__attribute__((format(printf, 2, 3))) static int fail(const parse_t *p, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->why, p->why_cap, fmt, ap);
    va_end(ap);
    return -1;
}

static void *field(const parse_t *p)
{
    return (char *)p->s + p->row->at;
}

static void set_count(const parse_t *p, uint32_t n)
{
    memcpy((char *)p->s + p->row->n_at, &n, sizeof n);
}

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit_t;

static const unit_t no_units[] = {{"", 1}, {NULL, 0}};
static const unit_t byte_units[] = {{"", 1},         {"b", 1},         {"k", 1 << 10},
                                    {"kb", 1 << 10}, {"kib", 1 << 10}, {"m", 1 << 20},
                                    {"mb", 1 << 20}, {"mib", 1 << 20}, {"g", 1 << 30},
                                    {"gb", 1 << 30}, {"gib", 1 << 30}, {NULL, 0}};
static const unit_t time_units[] = {{"", 1},      {"ms", 1},      {"s", 1000},
                                    {"m", 60000}, {"h", 3600000}, {NULL, 0}};

// Digits and a unit of the list; false when it is neither, or too big.
static bool read_amount(str_t text, const unit_t *units, uint64_t *out)
{
    size_t n = 0;
    while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
        n++;
    str_t name = str_trim(str_from_at(text, n));
    if (str_to_u64(str_make(text.p, n), out) != 0)
        return false;
    for (; units->name; units++) {
        if (str_ieq(name, str_from(units->name)))
            return !__builtin_mul_overflow(*out, units->factor, out);
    }
    return false;
}

static int store_amount(const parse_t *p, str_t text, const unit_t *units, const char *example)
{
    uint64_t value;
    const setting_row_t *row = p->row;
    if (!read_amount(text, units, &value))
        return fail(p, "\"%.*s\" is not %s: write a whole number%s", STR_FMT(text), row->kind,
                    example);
    if (value < row->min || value > row->max)
        return fail(p, "%llu is out of range: write %llu to %llu", (unsigned long long)value,
                    (unsigned long long)row->min, (unsigned long long)row->max);
    if (row->max > UINT32_MAX) {
        *(uint64_t *)field(p) = value;
    } else {
        *(uint32_t *)field(p) = (uint32_t)value;
    }
    return 0;
}

static int store_count(const parse_t *p, str_t text)
{
    bool is_auto = str_eq(text, STR("auto")) && strcmp(p->row->fallback, "auto") == 0;
    return store_amount(p, is_auto ? STR("0") : text, no_units, "");
}

static int store_switch(const parse_t *p, str_t text)
{
    static const char *const words[] = {"off", "false", "no", "0", "on", "true", "yes", "1"};
    for (unsigned i = 0; i < 8; i++) {
        if (str_ieq(text, str_from(words[i]))) {
            *(bool *)field(p) = i >= 4;
            return 0;
        }
    }
    return fail(p, "\"%.*s\" is neither on nor off: write on or off", STR_FMT(text));
}

static int store_text(const parse_t *p, str_t text)
{
    *(str_t *)field(p) = arena_dup(&p->s->arena, text);
    return 0;
}

static int store_level(const parse_t *p, str_t text)
{
    if (log_level_parse(text) < 0)
        return fail(p,
                    "\"%.*s\" is no log level: write debug, info, notice, warn, error, crit, "
                    "alert or emerg",
                    STR_FMT(text));
    return store_text(p, text);
}

// The kind names the choices, with " or " between them.
static int store_choice(const parse_t *p, str_t text)
{
    const str_t between = STR(" or ");
    str_t rest = str_from(p->row->kind);
    while (rest.n) {
        ptrdiff_t at = str_find(rest, between);
        size_t n = at < 0 ? rest.n : (size_t)at;
        if (str_eq(text, str_make(rest.p, n)))
            return store_text(p, text);
        rest = str_from_at(rest, at < 0 ? n : n + between.n);
    }
    return fail(p, "\"%.*s\" is not known: write %s", STR_FMT(text), p->row->kind);
}

// Next word of a list that commas and spaces separate.
static bool next_word(str_t *rest, str_t *word, bool spaces)
{
    size_t from = 0, end;
    while (from < rest->n &&
           (rest->p[from] == ',' || rest->p[from] == ' ' || rest->p[from] == '\t'))
        from++;
    for (end = from; end < rest->n && rest->p[end] != ','; end++) {
        if (spaces && (rest->p[end] == ' ' || rest->p[end] == '\t'))
            break;
    }
    *word = str_trim(str_make(rest->p + from, end - from));
    *rest = str_from_at(*rest, end);
    return word->n > 0;
}

typedef struct words {
    str_t *v;
    uint32_t n, cap;
} words_t;

static void words_add(parse_t *p, words_t *w, str_t text)
{
    if (w->n == w->cap) {
        str_t *grown = arena_alloc(&p->s->arena, (2 * (size_t)w->cap + 8) * sizeof *grown);
        if (w->n)
            memcpy(grown, w->v, w->n * sizeof *grown);
        w->v = grown;
        w->cap = 2 * w->cap + 8;
    }
    w->v[w->n++] = arena_dup(&p->s->arena, text);
}

static int store_cidrs(parse_t *p, const str_t *items, uint32_t n)
{
    words_t words = {0};
    for (uint32_t i = 0; i < n; i++) {
        str_t rest = items[i], word;
        net_rule_t net = {0};
        while (next_word(&rest, &word, true)) {
            if (net_parse(word, &net) != 0 && !str_eq(word, STR("unix:")))
                return fail(
                    p, "\"%.*s\" is neither an address nor a CIDR block: write e.g. 10.0.0.0/8",
                    STR_FMT(word));
            words_add(p, &words, word);
        }
    }
    *(str_t **)field(p) = words.v;
    set_count(p, words.n);
    return 0;
}

// Paths may hold spaces; only a single value is split, and at commas only.
static int store_paths(parse_t *p, const str_t *items, uint32_t n)
{
    words_t words = {0};
    for (uint32_t i = 0; i < n; i++) {
        str_t rest = items[i], word;
        if (n > 1 && rest.n)
            words_add(p, &words, rest);
        while (n == 1 && next_word(&rest, &word, false))
            words_add(p, &words, word);
    }
    *(str_t **)field(p) = words.v;
    set_count(p, words.n);
    return 0;
}

// ADDRESS:PORT with a numeric address; localhost and * are written out.
static int listen_address(parse_t *p, str_t word, str_t *out)
{
    uint64_t port;
    net_rule_t net = {0};
    if (str_starts(word, STR("unix:")) && word.n > 6) {
        *out = arena_dup(&p->s->arena, word);
        return 0;
    }
    const char *colon = memrchr(word.p, ':', word.n);
    str_t host = str_make(word.p, colon ? (size_t)(colon - word.p) : 0);
    str_t bare = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']'
                     ? str_make(host.p + 1, host.n - 2)
                     : host;
    if (str_eq(host, STR("localhost")))
        host = bare = STR("127.0.0.1");
    else if (str_eq(host, STR("*")))
        host = bare = STR("0.0.0.0");
    bool six = str_chr(bare, ':') >= 0;
    if (!colon || str_chr(bare, '/') >= 0 || net_parse(bare, &net) != 0 ||
        (six && bare.p == host.p))
        return fail(
            p, "\"%.*s\" is not ADDRESS:PORT: write e.g. 0.0.0.0:8000, [::]:8443 ssl, or off",
            STR_FMT(word));
    if (str_to_u64(str_from_at(word, (size_t)(colon + 1 - word.p)), &port) != 0 ||
        port > UINT16_MAX)
        return fail(p, "\"%.*s\" has no port from 0 to 65535", STR_FMT(word));
    *out = arena_printf(&p->s->arena, "%.*s:%u", STR_FMT(host), (unsigned)port);
    return 0;
}

static int listen_option(parse_t *p, listen_setting_t *l, str_t word)
{
    static const char *const implied[] = {"http2",           "deferred",         "bind",
                                          "so_keepalive=on", "so_keepalive=off", "ipv6only=on",
                                          "ipv6only=off"};
    uint64_t backlog;
    if (!l)
        return fail(
            p, "\"%.*s\" is not ADDRESS:PORT: write e.g. 0.0.0.0:8000, [::]:8443 ssl, or off",
            STR_FMT(word));
    if (str_eq(word, STR("ssl"))) {
        l->tls = true;
        return 0;
    }
    if (str_eq(word, STR("reuseport"))) {
        l->reuseport = true;
        return 0;
    }
    if (str_starts(word, STR("backlog=")) && str_to_u64(str_from_at(word, 8), &backlog) == 0 &&
        backlog <= 1 << 20) {
        l->backlog = (int)backlog;
        return 0;
    }
    // Words of Kong's listeners that change nothing here.
    for (size_t i = 0; i < sizeof implied / sizeof *implied; i++) {
        if (str_eq(word, str_from(implied[i])))
            return 0;
    }
    return fail(p, "\"%.*s\" is no option of a listener: write ssl, reuseport or backlog=N",
                STR_FMT(word));
}

// A word with a colon begins a listener, any other is an option of the one before it.
static int listen_word(parse_t *p, str_t word, uint32_t *n)
{
    listen_setting_t *list = field(p);
    if (str_eq(word, STR("off")) && *n == 0)
        return 0;
    if (str_chr(word, ':') < 0)
        return listen_option(p, *n ? &list[*n - 1] : NULL, word);
    if (*n == LISTEN_MAX)
        return fail(p, "more than %d listeners", LISTEN_MAX);
    list[*n] = (listen_setting_t){0};
    if (listen_address(p, word, &list[*n].address) != 0)
        return -1;
    ++*n;
    return 0;
}

static int store_listen(parse_t *p, const str_t *items, uint32_t n)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        str_t rest = items[i], word;
        while (next_word(&rest, &word, true)) {
            if (listen_word(p, word, &count) != 0)
                return -1;
        }
    }
    set_count(p, count);
    return 0;
}

enum { DICT_NAME_MAX = 32, DICT_MIN_BYTES = 65536 };

static bool dict_name_valid(str_t name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!isalnum((unsigned char)name.p[i]) && name.p[i] != '_' && name.p[i] != '-')
            return false;
    return name.n > 0 && name.n <= DICT_NAME_MAX;
}

static int add_dict(parse_t *p, str_t name, str_t size, uint32_t *n)
{
    dict_setting_t *list = field(p);
    uint64_t bytes;
    if (!dict_name_valid(name))
        return fail(p, "\"%.*s\" is no name of a dictionary: write letters, digits, _ and -",
                    STR_FMT(name));
    if (!read_amount(size, byte_units, &bytes) || bytes < DICT_MIN_BYTES || bytes > 1ULL << 31)
        return fail(p, "dictionary %.*s has no size: write e.g. %.*s 5m (64k to 2g)",
                    STR_FMT(name), STR_FMT(name));
    for (uint32_t i = 0; i < *n; i++)
        if (str_eq(list[i].name, name))
            return fail(p, "dictionary %.*s is named twice", STR_FMT(name));
    if (*n == DICT_SETTINGS_MAX)
        return fail(p, "more than %d dictionaries", DICT_SETTINGS_MAX);
    list[(*n)++] = (dict_setting_t){.name = arena_dup(&p->s->arena, name), .bytes = bytes};
    return 0;
}

// A word without the semicolon that nginx's directives end with.
static bool next_dict_word(str_t *rest, str_t *word)
{
    if (!next_word(rest, word, true))
        return false;
    if (word->p[word->n - 1] == ';')
        *word = str_make(word->p, word->n - 1);
    return true;
}

// "NAME SIZE" with commas between, or as Kong's settings carry directives: "NAME SIZE; lua_shared_dict NAME SIZE".
static int store_dicts(parse_t *p, const str_t *items, uint32_t n)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        str_t rest = items[i], name, size;
        while (next_dict_word(&rest, &name)) {
            if (str_eq(name, STR("lua_shared_dict")) || name.n == 0)
                continue;
            if (!next_dict_word(&rest, &size))
                size = STR("");
            if (add_dict(p, name, size, &count) != 0)
                return -1;
        }
    }
    set_count(p, count);
    return 0;
}

int setting_store(settings_t *s, const setting_row_t *row, const str_t *items, uint32_t n,
                  char *why, size_t why_cap)
{
    parse_t p = {.s = s, .row = row, .why = why, .why_cap = why_cap};
    str_t last = n ? str_trim(items[n - 1]) : STR("");
    switch (row->type) {
    case SETTING_LISTEN:
        return store_listen(&p, items, n);
    case SETTING_COUNT:
        return store_count(&p, last);
    case SETTING_BYTES:
        return store_amount(&p, last, byte_units, ", or one with k, m or g behind it");
    case SETTING_TIME:
        return store_amount(&p, last, time_units,
                            " of milliseconds, or one with ms, s, m or h behind it");
    case SETTING_SWITCH:
        return store_switch(&p, last);
    case SETTING_TEXT:
        return store_text(&p, last);
    case SETTING_LEVEL:
        return store_level(&p, last);
    case SETTING_CHOICE:
        return store_choice(&p, last);
    case SETTING_CIDRS:
        return store_cidrs(&p, items, n);
    case SETTING_PATHS:
        return store_paths(&p, items, n);
    case SETTING_DICTS:
        return store_dicts(&p, items, n);
    }
    UNREACHABLE("every type of setting is handled");
}
