// The usual AI request in one step: an OpenAI-shaped body for an OpenAI-shaped provider is checked, pinned to the configured model,
// given its options, target and credential, and its answer gets a tap. What is not usual is declined before anything is changed, and
// the plugin goes its own way (plugins/ai-proxy), which also has the words for every refusal.
// Invariant: accepting here has the effect that the plugin's Lua would have; a spec runs both over the same requests.
#include "lua/bridge.h"

#include "base/check.h"
#include "base/clock.h"
#include "core/respond.h"
#include "core/tap.h"

enum { OPTIONS_MAX = 8, MAGIC = 0x41495031 };

typedef struct ai_option {
    str_t name, raw; // raw JSON number
} ai_option_t;

// What does not depend on the request. Lives in a userdata that the generation's configuration anchors, so a request may borrow from it.
typedef struct ai_plan {
    uint32_t magic;
    str_t shape;   // the member that must be a non-empty array or (but for messages) a string
    str_t foreign; // the member of another route type, which must be absent; empty: none
    uint64_t body_max_bytes;
    str_t model, model_raw;
    str_t label;      // X-Kong-LLM-Model; empty: none
    str_t host, path; // empty path: as routed
    uint16_t port;
    bool https, replace_model, stream_denied, stream_always, may_stream, ask_usage, statistics;
    str_t header_name, header_value;
    bool allow_override;
    ai_option_t options[OPTIONS_MAX];
    uint32_t n_options;
    str_t dropped;             // one member to take out; empty: none
    str_t plugin_id, provider; // for the log
} ai_plan_t;

// ---- making a plan ----

// A string member of the table at index 1, copied behind the struct so that the userdata owns it.
static str_t field_text(lua_State *L, const char *name, char **at)
{
    lua_getfield(L, 1, name);
    size_t n = 0;
    const char *p = lua_tolstring(L, -1, &n);
    str_t copy = str_make(*at, n);
    if (n)
        memcpy(*at, p, n);
    *at += n;
    lua_pop(L, 1);
    return copy;
}

static bool field_flag(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static lua_Number field_number(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    lua_Number value = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static str_t item_text(lua_State *L, int i, char **at)
{
    lua_rawgeti(L, -1, i);
    size_t n = 0;
    const char *p = luaL_checklstring(L, -1, &n);
    str_t copy = str_make(*at, n);
    memcpy(*at, p, n);
    *at += n;
    lua_pop(L, 1);
    return copy;
}

// options = {name, raw, name, raw, ...}
static void read_options(lua_State *L, ai_plan_t *plan, char **at)
{
    lua_getfield(L, 1, "options");
    size_t n = lua_objlen(L, -1) / 2;
    luaL_argcheck(L, n <= OPTIONS_MAX, 1, "too many options");
    for (size_t i = 0; i < n; i++) {
        plan->options[i].name = item_text(L, (int)(2 * i + 1), at);
        plan->options[i].raw = item_text(L, (int)(2 * i + 2), at);
    }
    plan->n_options = (uint32_t)n;
    lua_pop(L, 1);
}

static const char *const TEXTS[] = {"shape",        "foreign", "model",     "model_raw",
                                    "label",        "host",    "path",      "header_name",
                                    "header_value", "dropped", "plugin_id", "provider"};

static size_t text_room(lua_State *L)
{
    size_t n = 0;
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        lua_getfield(L, 1, TEXTS[i]);
        n += lua_objlen(L, -1);
        lua_pop(L, 1);
    }
    lua_getfield(L, 1, "options");
    for (int i = 1; i <= (int)lua_objlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        n += lua_objlen(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return n;
}

// ai_plan{shape=, foreign=, model=, ...} -> plan, for mg_ai_apply. Fields are those of the struct.
static int l_ai_plan(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    ai_plan_t *plan = lua_newuserdata(L, sizeof *plan + text_room(L));
    memset(plan, 0, sizeof *plan);
    char *at = (char *)(plan + 1);
    str_t *const slots[] = {&plan->shape,     &plan->foreign,     &plan->model,
                            &plan->model_raw, &plan->label,       &plan->host,
                            &plan->path,      &plan->header_name, &plan->header_value,
                            &plan->dropped,   &plan->plugin_id,   &plan->provider};
    ASSERT(sizeof slots / sizeof slots[0] == sizeof TEXTS / sizeof TEXTS[0],
           "each text has its slot");
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
        *slots[i] = field_text(L, TEXTS[i], &at);
    read_options(L, plan, &at);
    plan->body_max_bytes = (uint64_t)field_number(L, "body_max_bytes");
    plan->port = (uint16_t)field_number(L, "port");
    plan->https = field_flag(L, "https");
    plan->replace_model = field_flag(L, "replace_model");
    plan->stream_denied = field_flag(L, "stream_denied");
    plan->stream_always = field_flag(L, "stream_always");
    plan->may_stream = field_flag(L, "may_stream");
    plan->ask_usage = field_flag(L, "ask_usage");
    plan->statistics = field_flag(L, "statistics");
    plan->allow_override = field_flag(L, "allow_override");
    bool sendable = plan->header_name.n == 0 || (header_name_valid(plan->header_name) &&
                                                 header_value_valid(plan->header_value));
    luaL_argcheck(L, sendable && header_value_valid(plan->label), 1,
                  "a header that cannot be sent");
    plan->magic = MAGIC;
    return 1;
}

const luaL_Reg native_ai[] = {{"ai_plan", l_ai_plan}, {NULL, NULL}};

// ---- looking ----

typedef struct findings {
    bool set_model, stream, set_stream, set_usage, usage_asked;
} findings_t;

static json_type_t type_of(const json_member_t *m)
{
    return m ? (json_type_t)m->type : JSON_ABSENT;
}

static bool is_flag_or_none(json_type_t t)
{
    return t == JSON_ABSENT || t == JSON_NULL || t == JSON_TRUE || t == JSON_FALSE;
}

static bool has_shape(const ai_plan_t *p, const json_doc_t *d)
{
    const json_member_t *m = json_doc_find(d, p->shape);
    bool text = type_of(m) == JSON_STRING && !str_eq(p->shape, STR("messages"));
    if (!text && !(type_of(m) == JSON_ARRAY && m->count > 0))
        return false;
    return p->foreign.n == 0 || json_doc_find(d, p->foreign) == NULL;
}

static bool look_at_model(const ai_plan_t *p, const json_doc_t *d, findings_t *f)
{
    const json_member_t *m = json_doc_find(d, STR("model"));
    json_type_t t = type_of(m);
    if (t == JSON_STRING && str_eq(m->value, p->model_raw))
        return true;
    f->set_model = true;
    return t == JSON_ABSENT || t == JSON_NULL || (t == JSON_STRING && p->replace_model);
}

// Asks for usage where the client did not; an object that says something else is not usual.
static bool look_at_usage(const ai_plan_t *p, const json_doc_t *d, findings_t *f)
{
    const json_member_t *m = json_doc_find(d, STR("stream_options"));
    str_t include;
    if (!m) {
        f->set_usage = p->ask_usage && p->statistics;
        return true;
    }
    f->usage_asked = type_of(m) == JSON_OBJECT &&
                     json_get(m->value, STR("include_usage"), &include) &&
                     str_eq(include, STR("true"));
    return f->usage_asked;
}

static bool look_at_stream(const ai_plan_t *p, const json_doc_t *d, findings_t *f)
{
    if (!p->may_stream)
        return true;
    json_type_t t = type_of(json_doc_find(d, STR("stream")));
    if (!is_flag_or_none(t) || (t == JSON_TRUE && p->stream_denied))
        return false;
    f->stream = t == JSON_TRUE || p->stream_always;
    f->set_stream = f->stream && t != JSON_TRUE;
    return !f->stream || look_at_usage(p, d, f);
}

static bool is_usual(const ai_plan_t *p, const json_doc_t *d, findings_t *f)
{
    return has_shape(p, d) && look_at_model(p, d, f) && look_at_stream(p, d, f) &&
           json_doc_find(d, STR("max_completion_tokens")) == NULL;
}

static bool is_json(const request_t *r)
{
    const str_t json = STR("application/json");
    str_t type = headers_get(&r->head.headers, HDR_CONTENT_TYPE);
    return str_starts(type, json) && (type.n == json.n || type.p[json.n] == ';');
}

static json_doc_t *open_document(request_t *r)
{
    json_error_t err;
    if (r->doc)
        return r->doc->n_edits == 0 ? r->doc : NULL;
    if (r->new_body.p)
        return NULL;
    json_doc_t *d = arena_alloc(&r->arena, sizeof *d);
    if (json_doc_open(d, &r->arena, buf_str(&r->body.data), &err) != 0)
        return NULL;
    r->doc = d;
    return d;
}

// ---- doing ----

static void edit(request_t *r, str_t name, str_t raw)
{
    int rc = json_doc_set(r->doc, &r->arena, name, raw);
    ASSERT(rc == 0, "a plan's members are plain names and valid JSON");
}

static void edit_body(request_t *r, const ai_plan_t *p, const findings_t *f)
{
    if (f->set_model)
        edit(r, STR("model"), p->model_raw);
    if (f->set_stream)
        edit(r, STR("stream"), STR("true"));
    for (uint32_t i = 0; i < p->n_options; i++) {
        const ai_option_t *o = &p->options[i];
        const json_member_t *m = json_doc_find(r->doc, o->name);
        if (!m || !str_eq(m->value, o->raw))
            edit(r, o->name, o->raw);
    }
    if (p->dropped.n && json_doc_find(r->doc, p->dropped))
        json_doc_remove(r->doc, &r->arena, p->dropped);
    if (f->set_usage)
        edit(r, STR("stream_options"), STR("{\"include_usage\":true}"));
}

static void set_line(request_t *r, str_t name, str_t value)
{
    hdr_id_t id = hdr_lookup(name);
    headers_set(&r->head.headers, &r->arena, id, name, value);
}

static void set_target(request_t *r, const ai_plan_t *p)
{
    upstream_request_t *up = &r->up;
    up->host = p->host;
    up->port = p->port;
    up->https = p->https;
    up->balancer = NULL;
    up->set = true;
    if (p->path.n) {
        up->path = p->path;
        up->raw_path = true;
    }
    bool kept = p->allow_override && headers_find(&r->head.headers, hdr_lookup(p->header_name),
                                                  p->header_name, 0) != NULL;
    if (p->header_name.n && !kept)
        set_line(r, p->header_name, p->header_value);
    if (p->statistics)
        set_line(r, STR("Accept-Encoding"), STR("identity"));
}

static void prepare_response(request_t *r, const ai_plan_t *p, const findings_t *f)
{
    respond_header_remove(r, STR("Set-Cookie"));
    if (p->label.n)
        respond_header_on_success(r, STR("X-Kong-LLM-Model"), p->label);
    if (!p->statistics)
        return;
    request_watch(r, TAP_OPENAI, f->set_usage);
}

// For the log record, when somebody reads it.
static void note(request_t *r, const ai_plan_t *p, const findings_t *f)
{
    if (!p->statistics || !(r->worker->access_log || (r->phases & PHASE_LOG)))
        return;
    r->ai = arena_alloc(&r->arena, sizeof *r->ai);
    *r->ai = (ai_note_t){.plugin_id = p->plugin_id,
                         .provider = p->provider,
                         .model = p->model,
                         .stream = f->stream,
                         .request_bytes = body_size(r),
                         .sent_us = clock_mono_us()};
}

int32_t mg_ai_apply(const void *plan, uint32_t *flags)
{
    request_t *r = current_request();
    const ai_plan_t *p = plan;
    findings_t f = {0};
    if (!r)
        return MG_NO_REQUEST;
    if (!p || p->magic != MAGIC)
        return MG_INVALID;
    if (!is_json(r) || r->body.kind == BODY_NONE)
        return MG_AI_DECLINED;
    if (r->body.complete && r->body.mode == BODY_HELD)
        r->body.mode = BODY_COLLECT; // it came whole with its head: nothing to wait for
    if (!r->body.complete || r->body.mode != BODY_COLLECT)
        return MG_AI_NEEDS_BODY;
    if (p->body_max_bytes && r->body.received > p->body_max_bytes)
        return MG_AI_DECLINED;
    json_doc_t *d = open_document(r);
    if (!d || !is_usual(p, d, &f))
        return MG_AI_DECLINED;
    edit_body(r, p, &f);
    set_target(r, p);
    prepare_response(r, p, &f);
    note(r, p, &f);
    bool logged =
        r->phases & PHASE_LOG; // by another plugin, which may want what ai-proxy shares
    *flags = (f.stream ? MG_AI_STREAM : 0) | (f.usage_asked ? MG_AI_USAGE_ASKED : 0) |
             (logged ? MG_AI_LOGGED : 0);
    return MG_OK;
}
