// The native function behind kong.dns: a name's addresses or services, from the worker's resolver. Sockets resolve by themselves.
// Invariant: a question under way has its query in thread->op, and its cancel function drops it.
#include "lua/bridge.h"

#include "base/check.h"
#include "base/err.h"
#include "io/dns.h"

enum { TYPE_A = 1, TYPE_AAAA = 28, TYPE_SRV = 33 };

static void set_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void push_record(lua_State *L, const dns_record_t *record, dns_type_t type, double ttl_s)
{
    char ip[64];
    lua_createtable(L, 0, 6);
    set_number(L, "class", 1);
    set_number(L, "section", 1);
    set_number(L, "ttl", ttl_s);
    if (type == DNS_SRV) {
        set_number(L, "type", TYPE_SRV);
        set_number(L, "port", record->port);
        set_number(L, "priority", record->priority);
        set_number(L, "weight", record->weight);
        push_str(L, record->target);
        lua_setfield(L, -2, "target");
        return;
    }
    bool six = record->addr.sa.sa_family == AF_INET6;
    set_number(L, "type", six ? TYPE_AAAA : TYPE_A);
    push_str(L, str_make(ip, addr_ip_text(&record->addr, ip, sizeof ip)));
    lua_setfield(L, -2, "address");
}

// Pushes what an answer gives to Lua: an array, or nil and why; their count.
static int push_answer(lua_State *L, int err, const dns_answer_t *a, dns_type_t type)
{
    if (err != 0)
        return push_error(L, err == ERR_DNS_NAME ? "dns client error: 3 name error"
                                                 : "dns client error: 2 server failure");
    ASSERT(a->n > 0, "an answer has records");
    lua_createtable(L, (int)a->n, 0);
    for (unsigned i = 0; i < a->n; i++) {
        push_record(L, &a->records[i], type, a->ttl_ms / 1000.0);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static void dns_cancelled(thread_t *t)
{
    ASSERT(t->op, "a thread that waits for a name has its query");
    dns_cancel(t->op);
    t->op = NULL;
}

static void on_addresses(void *arg, int err, const dns_answer_t *a)
{
    thread_t *t = arg;
    t->op = NULL;
    thread_resume(t, push_answer(t->co, err, a, DNS_ADDR));
}

static void on_services(void *arg, int err, const dns_answer_t *a)
{
    thread_t *t = arg;
    t->op = NULL;
    thread_resume(t, push_answer(t->co, err, a, DNS_SRV));
}

// dns_lookup(name, srv) -> array of records | nil, why. Waits unless the answer is known.
static int l_dns_lookup(lua_State *L)
{
    str_t name = arg_str(L, 1);
    dns_type_t type = lua_toboolean(L, 2) ? DNS_SRV : DNS_ADDR;
    dns_t *dns = dns_of(bridge_self()->worker->loop);
    dns_answer_t known;
    int rc = dns_cached(dns, name, type, &known);
    if (rc <= 0)
        return push_answer(L, rc, &known, type);
    thread_t *t = thread_check(L);
    dns_query_t *query =
        dns_lookup(dns, name, type, type == DNS_SRV ? on_services : on_addresses, t);
    return thread_wait(L, dns_cancelled, query);
}

const luaL_Reg native_dns[] = {
    {"dns_lookup", l_dns_lookup},
    {NULL, NULL},
};
