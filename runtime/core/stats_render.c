// The Prometheus text exposition of the shared table. Reads while others add: each cell is whole, a histogram's count is made of its
// buckets, so that `+Inf` and `_count` always agree.
#include <math.h>
#include <stdio.h>

#include "core/stats_table.h"

void stat_label(buf_t *out, str_t name, str_t value)
{
    if (out->n > 0)
        buf_putc(out, ',');
    buf_append(out, name);
    buf_append(out, STR("=\""));
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' || c == '"' || c == '\n')
            buf_putc(out, '\\');
        buf_putc(out, c == '\n' ? 'n' : c);
    }
    buf_putc(out, '"');
}

static void put_number(buf_t *out, double v)
{
    if (isnan(v) || isinf(v))
        buf_append(out, isnan(v) ? STR("NaN") : v > 0 ? STR("+Inf") : STR("-Inf"));
    else if (v == floor(v) && fabs(v) < 9007199254740992.0)
        buf_printf(out, "%.0f", v);
    else
        buf_printf(out, "%.15g", v);
}

static void put_line(buf_t *out, str_t name, const char *suffix, str_t labels, const char *le,
                     double value)
{
    buf_append(out, name);
    buf_append(out, str_from(suffix));
    if (labels.n || le) {
        buf_putc(out, '{');
        buf_append(out, labels);
        if (le)
            buf_printf(out, "%sle=\"%s\"", labels.n ? "," : "", le);
        buf_putc(out, '}');
    }
    buf_putc(out, ' ');
    put_number(out, value);
    buf_putc(out, '\n');
}

static void put_histogram(buf_t *out, const series_t *s, str_t name, str_t labels)
{
    _Atomic(uint64_t) *cells = stats_table->cells;
    double count = 0;
    for (uint32_t i = 0; i <= s->n_bounds; i++) {
        char le[32] = "+Inf";
        count += cell_value(&cells[s->cell + i]);
        if (i < s->n_bounds)
            snprintf(le, sizeof le, "%.10g", cell_value(&cells[s->bounds + i]));
        put_line(out, name, "_bucket", labels, le, count);
    }
    put_line(out, name, "_count", labels, NULL, count);
    put_line(out, name, "_sum", labels, NULL, cell_value(&cells[s->cell + s->n_bounds + 1]));
}

static void put_help(buf_t *out, str_t help)
{
    for (size_t i = 0; i < help.n; i++) {
        if (help.p[i] == '\n' || help.p[i] == '\\')
            buf_putc(out, '\\');
        buf_putc(out, help.p[i] == '\n' ? 'n' : help.p[i]);
    }
}

static void put_family(buf_t *out, uint32_t first)
{
    static const char *const TYPES[] = {
        [STAT_COUNTER] = "counter", [STAT_GAUGE] = "gauge", [STAT_HISTOGRAM] = "histogram"};
    const series_t *s = &stats_table->series[first - 1];
    str_t name = str_make(stats_table->text + s->name, s->name_n);
    buf_printf(out, "# HELP %.*s ", STR_FMT(name));
    put_help(out, str_make(stats_table->text + s->help, s->help_n));
    buf_printf(out, "\n# TYPE %.*s %s\n", STR_FMT(name), TYPES[s->type]);
    for (uint32_t at = first; at;
         at = atomic_load_explicit(&s->next_member, memory_order_acquire)) {
        s = &stats_table->series[at - 1];
        str_t labels = str_make(stats_table->text + s->labels, s->labels_n);
        if (s->type == STAT_HISTOGRAM)
            put_histogram(out, s, name, labels);
        else
            put_line(out, name, "", labels, NULL, cell_value(&stats_table->cells[s->cell]));
    }
}

void stats_render(buf_t *out)
{
    if (!stats_table)
        return;
    uint32_t at = atomic_load_explicit(&stats_table->first_family, memory_order_acquire);
    for (; at; at = atomic_load_explicit(&stats_table->series[at - 1].next_family,
                                         memory_order_acquire))
        put_family(out, at);
}
