// What the log says of a request to an LLM provider: the plugin's note and what the tap read, as ai.proxy.meta and ai.proxy.usage.
// The same members as lualib/ai/usage.lua writes for requests that go through Lua; a spec compares the two.
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "core/record.h"

enum { BYTES_PER_TOKEN = 4 };

static void put_text(buf_t *b, const char *name, str_t value)
{
    if (!value.n)
        return;
    buf_printf(b, "\"%s\":\"", name);
    buf_append_json(b, value);
    buf_append(b, STR("\","));
}

static void put_count(buf_t *b, const char *name, double value)
{
    if (value >= 0)
        buf_printf(b, "\"%s\":%.14g,", name, value);
}

// The object's last comma becomes its end.
static void close_object(buf_t *b)
{
    char *last = b->p + b->head + b->n - 1;
    ASSERT(*last == ',', "an object of the log has members");
    *last = '}';
}

static void put_meta(buf_t *b, const request_t *r, uint64_t latency_ms)
{
    const ai_note_t *ai = r->ai;
    str_t seen = r->tap ? str_from(r->tap->model) : STR("");
    buf_append(b, STR("\"meta\":{"));
    put_text(b, "plugin_id", ai->plugin_id);
    put_text(b, "provider_name", ai->provider);
    put_text(b, "request_model", ai->model);
    put_text(b, "response_model", seen.n ? seen : ai->model);
    put_text(b, "request_mode", ai->stream ? STR("stream") : STR("oneshot"));
    put_count(b, "llm_latency", (double)latency_ms);
    close_object(b);
}

static double tokens_in(uint64_t bytes)
{
    return (double)((bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN);
}

static void put_detail(buf_t *b, const char *name, const char *member, double value)
{
    if (value >= 0)
        buf_printf(b, "\"%s\":{\"%s\":%.14g},", name, member, value);
}

static void put_usage(buf_t *b, const request_t *r, uint64_t latency_ms)
{
    const tap_t *t = r->tap;
    bool estimated = t->prompt_tokens < 0 || t->completion_tokens < 0;
    double prompt = t->prompt_tokens >= 0 ? t->prompt_tokens : tokens_in(r->ai->request_bytes);
    double completion =
        t->completion_tokens >= 0 ? t->completion_tokens : tokens_in(t->content_bytes);
    bool has_total = t->total_tokens >= 0 && !estimated;
    buf_append(b, STR(",\"usage\":{"));
    put_count(b, "prompt_tokens", prompt);
    put_count(b, "completion_tokens", completion);
    put_count(b, "total_tokens", has_total ? t->total_tokens : prompt + completion);
    put_count(b, "time_per_token", completion > 0 ? (double)latency_ms / completion : 0);
    if (t->stream && t->first_event_us)
        put_count(b, "time_to_first_token", (double)((t->first_event_us - r->start_us) / 1000));
    put_detail(b, "prompt_tokens_details", "cached_tokens", t->cached_tokens);
    put_detail(b, "completion_tokens_details", "reasoning_tokens", t->reasoning_tokens);
    if (estimated)
        buf_append(b, STR("\"estimated\":true,"));
    close_object(b);
}

void record_ai(buf_t *b, const request_t *r)
{
    ASSERT(b->n > 0 && r->ai, "a member stands inside an object");
    uint64_t now_us = clock_mono_us();
    uint64_t latency_ms = (now_us - r->ai->sent_us + 500) / 1000;
    if (b->p[b->head + b->n - 1] != '{')
        buf_putc(b, ',');
    buf_append(b, STR("\"ai\":{\"proxy\":{"));
    put_meta(b, r, latency_ms);
    if (r->tap && r->upstream_status == 200)
        put_usage(b, r, latency_ms);
    buf_append(b, STR("}}"));
}
