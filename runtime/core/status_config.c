// The configuration in use and the last attempt to load one, as JSON and as metrics; see status_config.h.
// Invariant: problems are shown as the loader words them, which never include a secret.
#include "core/status_config.h"

#include <stdio.h>

#include "core/config_state.h"
#include "core/load.h"
#include "core/stats.h"

enum { SHOWN_MAX = CONFIG_ERRORS_TOLD };

// ---- JSON ----

static void put_text(buf_t *b, const char *name, str_t value)
{
    buf_printf(b, "\"%s\":\"", name);
    buf_append_json(b, value);
    buf_putc(b, '"');
}

static void put_problem(buf_t *b, const problem_t *p)
{
    buf_putc(b, '{');
    if (p->file.n > 0) {
        put_text(b, "file", p->file);
        buf_printf(b, ",\"line\":%llu,", (unsigned long long)p->line);
    }
    put_text(b, "message", p->message);
    buf_putc(b, '}');
}

static void put_problems(buf_t *b, const char *problems)
{
    str_t rest = str_from(problems);
    problem_t p;
    buf_append(b, STR("\"errors\":["));
    for (unsigned put = 0; put < SHOWN_MAX && problems_next(&rest, &p); put++) {
        if (put)
            buf_putc(b, ',');
        put_problem(b, &p);
    }
    buf_putc(b, ']');
}

static void put_source(const settings_t *s, buf_t *b)
{
    buf_append(b, STR("\"source\":["));
    for (uint32_t i = 0; i < s->n_config_paths; i++) {
        buf_append(b, i ? STR(",\"") : STR("\""));
        buf_append_json(b, s->config_paths[i]);
        buf_putc(b, '"');
    }
    buf_append(b, STR("],"));
}

void status_config_json(const worker_t *w, buf_t *b)
{
    config_state_t s;
    config_state_get(&s);
    bool alone = w->heartbeat == NULL || s.workers == 0;
    buf_append(b, STR("\"config\":{"));
    put_source(w->settings, b);
    buf_printf(b, "\"hash\":\"%s\",\"generation\":%llu,\"loaded_at\":%.3f,\"files\":%u,",
               s.hash[0] ? s.hash : w->gen->hash, (unsigned long long)s.generation,
               (double)s.loaded_ms / 1000, s.files);
    buf_printf(b, "\"last_good\":%s,\"watch\":\"%s\",\"workers\":%u,\"workers_acked\":%u,",
               s.last_good ? "true" : "false", s.watch, alone ? 1 : s.workers,
               alone ? 1 : s.workers_acked);
    buf_printf(b, "\"generations_alive\":%u,\"last_attempt\":{\"at\":%.3f,\"ok\":%s,",
               config_state_most_alive(), (double)s.attempt_ms / 1000,
               s.attempt_ok ? "true" : "false");
    put_text(b, "content", str_from(s.attempt_content));
    buf_putc(b, ',');
    put_problems(b, s.error);
    buf_append(b, STR("}}"));
}

// ---- metrics ----

static void head(buf_t *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(buf_t *b, const char *name, const char *help, double value)
{
    head(b, name, "gauge", help);
    buf_printf(b, "%s %.15g\n", name, value);
}

void status_config_metrics(const worker_t *w, buf_t *b)
{
    static const struct {
        const char *result;
        stat_fixed_t stat;
    } RESULTS[] = {{"ok", SF_RELOADS_OK},
                   {"error", SF_RELOADS_FAILED},
                   {"unchanged", SF_RELOADS_UNCHANGED}};
    config_state_t s;
    config_state_get(&s);
    head(b, "moongate_config_reloads_total", "counter", "Reloads by result");
    for (size_t i = 0; i < sizeof RESULTS / sizeof *RESULTS; i++)
        buf_printf(b, "moongate_config_reloads_total{result=\"%s\"} %lld\n", RESULTS[i].result,
                   (long long)stat_fixed_get(RESULTS[i].stat));
    gauge(b, "moongate_config_last_reload_successful",
          "Whether the last attempt to load the configuration went well", s.attempt_ok);
    gauge(b, "moongate_config_last_reload_success_timestamp_seconds",
          "When the configuration in use was loaded", (double)s.loaded_ms / 1000);
    gauge(b, "moongate_config_generation", "Configurations put in use since the start",
          (double)s.generation);
    gauge(b, "moongate_config_generations_alive",
          "Configurations that requests still use, in the worker with the most",
          config_state_most_alive());
    head(b, "moongate_config_watch_mode", "gauge", "How changes of files are noticed");
    buf_printf(b, "moongate_config_watch_mode{mode=\"%s\"} 1\n", s.watch);
    head(b, "moongate_config_info", "gauge", "Hash of the configuration in use");
    buf_printf(b, "moongate_config_info{hash=\"%s\"} 1\n",
               w->admin && s.hash[0] ? s.hash : w->gen->hash);
}
