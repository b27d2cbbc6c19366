// Values of settings as text: the way back of setting_value.c, so that what is printed can be given again.
#include "base/check.h"
#include "config/settings.h"

static const void *field(const settings_t *s, size_t at)
{
    return (const char *)s + at;
}

static uint32_t count_of(const settings_t *s, const setting_row_t *row)
{
    return *(const uint32_t *)field(s, row->n_at);
}

static void put_listeners(const settings_t *s, const setting_row_t *row, buf_t *out)
{
    const listen_setting_t *list = field(s, row->at);
    uint32_t n = count_of(s, row);
    ASSERT(n <= LISTEN_MAX, "a list of listeners has LISTEN_MAX places");
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(out, "%s%.*s%s%s", i ? ", " : "", STR_FMT(list[i].address),
                   list[i].tls ? " ssl" : "", list[i].reuseport ? " reuseport" : "");
        if (list[i].backlog)
            buf_printf(out, " backlog=%d", list[i].backlog);
    }
    if (n == 0)
        buf_append(out, STR("off"));
}

static void put_list(const settings_t *s, const setting_row_t *row, buf_t *out)
{
    str_t *const *list = field(s, row->at);
    for (uint32_t i = 0; i < count_of(s, row); i++)
        buf_printf(out, "%s%.*s", i ? ", " : "", STR_FMT((*list)[i]));
}

static void put_amount(uint64_t value, bool time, buf_t *out);

static void put_dicts(const settings_t *s, const setting_row_t *row, buf_t *out)
{
    const dict_setting_t *list = field(s, row->at);
    for (uint32_t i = 0; i < count_of(s, row); i++) {
        buf_printf(out, "%s%.*s ", i ? ", " : "", STR_FMT(list[i].name));
        put_amount(list[i].bytes, false, out);
    }
}

static uint64_t amount_of(const settings_t *s, const setting_row_t *row)
{
    return row->max > UINT32_MAX ? *(const uint64_t *)field(s, row->at)
                                 : *(const uint32_t *)field(s, row->at);
}

// The largest unit that leaves a whole number.
static void put_amount(uint64_t value, bool time, buf_t *out)
{
    static const struct {
        const char *name;
        uint64_t factor;
    } TIMES[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}},
      SIZES[] = {{"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}};
    unsigned i = 0;
    while (i < 3 && (value == 0 || value % (time ? TIMES : SIZES)[i].factor != 0))
        i++;
    uint64_t factor = (time ? TIMES : SIZES)[i].factor;
    const char *name = value == 0 ? "" : (time ? TIMES : SIZES)[i].name;
    buf_printf(out, "%llu%s", (unsigned long long)(value / factor), name);
}

void settings_text(const settings_t *s, const setting_row_t *row, buf_t *out)
{
    switch (row->type) {
    case SETTING_LISTEN:
        put_listeners(s, row, out);
        return;
    case SETTING_COUNT:
        if (amount_of(s, row) == 0 && str_eq(str_from(row->fallback), STR("auto")))
            buf_append(out, STR("auto"));
        else
            buf_printf(out, "%llu", (unsigned long long)amount_of(s, row));
        return;
    case SETTING_BYTES:
    case SETTING_TIME:
        put_amount(amount_of(s, row), row->type == SETTING_TIME, out);
        return;
    case SETTING_SWITCH:
        buf_append(out, *(const bool *)field(s, row->at) ? STR("on") : STR("off"));
        return;
    case SETTING_TEXT:
    case SETTING_LEVEL:
    case SETTING_CHOICE:
        buf_append(out, *(const str_t *)field(s, row->at));
        return;
    case SETTING_CIDRS:
    case SETTING_PATHS:
        put_list(s, row, out);
        return;
    case SETTING_DICTS:
        put_dicts(s, row, out);
        return;
    }
    UNREACHABLE("every type of setting is handled");
}
