// Native functions over shared dictionaries: handles are indexes into a table of this file. incr and limit_take are FFI (abi_shared.c).
// Invariant: a handle, once given, is valid until the process ends.
#include "lua/bridge.h"

#include "base/check.h"
#include "lua/native.h"

// Handles are the same for all states of a process, so this is one of its few statics.
static struct {
    shdict_t *dict;
    char name[64];
} handles[SHD_MAX];
static int32_t n_handles;

shdict_t *native_shdict_of(int32_t handle)
{
    return handle >= 0 && handle < n_handles ? handles[handle].dict : NULL;
}

uint64_t native_ttl_ms(double seconds)
{
    if (!(seconds > 0))
        return 0;
    uint64_t ms = (uint64_t)(seconds * 1000 + 0.5);
    return ms ? ms : 1;
}

static shdict_t *arg_dict(lua_State *L)
{
    shdict_t *d = native_shdict_of((int32_t)luaL_checknumber(L, 1));
    if (!d)
        luaL_argerror(L, 1, "no such dictionary");
    return d;
}

static int push_code(lua_State *L, int rc)
{
    static const char *const TEXTS[] = {"not found",       "exists",      "no memory",
                                        "not a number",    "invalid key", "value is a list",
                                        "value not a list"};
    ASSERT(rc <= SHD_NOT_FOUND && rc >= SHD_NOT_A_LIST, "an error of the dictionary");
    return push_error(L, TEXTS[-rc - 1]);
}

static int add_handle(lua_State *L, shdict_t *d, str_t name)
{
    if (!d)
        return 0;
    for (int32_t i = 0; i < n_handles; i++)
        if (handles[i].dict == d) {
            lua_pushnumber(L, i);
            return 1;
        }
    if (n_handles == SHD_MAX || name.n >= sizeof handles[0].name)
        return luaL_error(L, "too many shared dictionaries, or too long a name");
    handles[n_handles].dict = d;
    memcpy(handles[n_handles].name, name.p, name.n);
    lua_pushnumber(L, n_handles++);
    return 1;
}

static int l_find(lua_State *L)
{
    str_t name = arg_str(L, 1);
    return add_handle(L, shdict_find(name), name);
}

static int l_names(lua_State *L)
{
    lua_createtable(L, n_handles, 0);
    for (int32_t i = 0; i < n_handles; i++) {
        lua_pushstring(L, handles[i].name);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

// ---- values ----

static void push_value(lua_State *L, const shdict_value_t *v)
{
    switch (v->type) {
    case SHD_NIL:
        lua_pushnil(L);
        break;
    case SHD_BOOL:
        lua_pushboolean(L, v->number != 0);
        break;
    case SHD_NUMBER:
        lua_pushnumber(L, v->number);
        break;
    case SHD_STRING:
        push_str(L, v->string);
        break;
    }
}

static shdict_value_t arg_value(lua_State *L, int i)
{
    shdict_value_t v = {.type = SHD_NIL};
    switch (lua_type(L, i)) {
    case LUA_TNIL:
    case LUA_TNONE:
        break;
    case LUA_TBOOLEAN:
        v.type = SHD_BOOL;
        v.number = lua_toboolean(L, i);
        break;
    case LUA_TNUMBER:
        v.type = SHD_NUMBER;
        v.number = lua_tonumber(L, i);
        break;
    case LUA_TSTRING:
        v.type = SHD_STRING;
        v.string = arg_str(L, i);
        break;
    default:
        luaL_argerror(L, i, "bad value type");
    }
    return v;
}

enum { FIRST_BYTES = 4096 };

// get(h, key[, stale]) -> value, flags, is_stale
static int l_get(lua_State *L)
{
    shdict_t *d = arg_dict(L);
    str_t key = arg_str(L, 2);
    buf_t *scratch = &bridge_self()->scratch;
    shdict_value_t v = {0};
    bool is_stale = false;
    size_t cap = FIRST_BYTES;
    int rc;
    do {
        buf_clear(scratch);
        char *p = buf_reserve(scratch, cap);
        rc = shdict_get(d, key, &v, p, cap, lua_toboolean(L, 3), &is_stale);
        if (rc == SHD_NO_MEMORY && v.string.n <= cap)
            break;
        cap = v.string.n;
    } while (rc == SHD_NO_MEMORY);
    if (rc == SHD_NOT_FOUND) {
        lua_pushnil(L);
        return 1;
    }
    if (rc != SHD_OK)
        return push_code(L, rc);
    push_value(L, &v);
    lua_pushnumber(L, v.flags);
    lua_pushboolean(L, is_stale);
    return 3;
}

// store(h, mode, key, value, ttl_s, flags, safe) -> ok, err, forcible
static int l_store(lua_State *L)
{
    shdict_t *d = arg_dict(L);
    str_t mode = arg_str(L, 2), key = arg_str(L, 3);
    shdict_value_t v = arg_value(L, 4);
    v.flags = (uint32_t)luaL_optnumber(L, 6, 0);
    bool forcible = false;
    int rc;
    if (v.type == SHD_NIL && str_eq(mode, STR("set")))
        rc = shdict_delete(d, key);
    else if (v.type == SHD_NIL)
        return push_error(L, "attempt to add or replace nil values");
    else
        rc = shdict_store(d, key, &v, native_ttl_ms(luaL_optnumber(L, 5, 0)),
                          str_eq(mode, STR("add"))       ? SHD_ADD
                          : str_eq(mode, STR("replace")) ? SHD_REPLACE
                                                         : SHD_SET,
                          lua_toboolean(L, 7), &forcible);
    if (rc == SHD_NOT_FOUND && v.type == SHD_NIL)
        rc = SHD_OK;
    lua_pushboolean(L, rc == SHD_OK);
    if (rc == SHD_OK) {
        lua_pushnil(L);
    } else {
        push_code(L, rc);
        lua_remove(L, -2);
    }
    lua_pushboolean(L, forcible);
    return 3;
}

static int push_done(lua_State *L, int rc)
{
    if (rc != SHD_OK)
        return push_code(L, rc);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_delete(lua_State *L)
{
    int rc = shdict_delete(arg_dict(L), arg_str(L, 2));
    return push_done(L, rc == SHD_NOT_FOUND ? SHD_OK : rc);
}

static int l_ttl(lua_State *L)
{
    int64_t ms = 0;
    int rc = shdict_ttl(arg_dict(L), arg_str(L, 2), &ms);
    if (rc != SHD_OK)
        return push_code(L, rc);
    lua_pushnumber(L, (lua_Number)ms / 1000);
    return 1;
}

static int l_expire(lua_State *L)
{
    return push_done(
        L, shdict_expire(arg_dict(L), arg_str(L, 2), native_ttl_ms(luaL_checknumber(L, 3))));
}

static int l_flush_all(lua_State *L)
{
    shdict_flush_all(arg_dict(L));
    return 0;
}

static int l_flush_expired(lua_State *L)
{
    lua_pushnumber(L, shdict_flush_expired(arg_dict(L), (uint32_t)luaL_optnumber(L, 2, 0)));
    return 1;
}

typedef struct key_list {
    buf_t bytes; // length-prefixed keys: Lua may raise, so nothing of Lua runs while walking
} key_list_t;

static void on_key(void *arg, str_t key)
{
    key_list_t *l = arg;
    uint32_t n = (uint32_t)key.n;
    buf_append(&l->bytes, str_make((const char *)&n, sizeof n));
    buf_append(&l->bytes, key);
}

static int l_keys(lua_State *L)
{
    key_list_t keys = {0};
    shdict_keys(arg_dict(L), (uint32_t)luaL_optnumber(L, 2, 1024), on_key, &keys);
    str_t all = buf_str(&keys.bytes);
    lua_newtable(L);
    for (int i = 1; all.n; i++) {
        uint32_t n;
        memcpy(&n, all.p, sizeof n);
        lua_pushlstring(L, all.p + sizeof n, n);
        lua_rawseti(L, -2, i);
        all = str_from_at(all, sizeof n + n);
    }
    buf_dispose(&keys.bytes);
    return 1;
}

// ---- lists ----

// push(h, key, value, left) -> len
static int l_push(lua_State *L)
{
    shdict_t *d = arg_dict(L);
    str_t key = arg_str(L, 2);
    shdict_value_t v = arg_value(L, 3);
    uint32_t len = 0;
    if (v.type != SHD_STRING && v.type != SHD_NUMBER)
        return push_error(L, "bad value type");
    int rc = shdict_push(d, key, &v, lua_toboolean(L, 4), &len);
    if (rc != SHD_OK)
        return push_code(L, rc);
    lua_pushnumber(L, len);
    return 1;
}

// pop(h, key, left) -> value
static int l_pop(lua_State *L)
{
    shdict_t *d = arg_dict(L);
    str_t key = arg_str(L, 2);
    buf_t *scratch = &bridge_self()->scratch;
    shdict_value_t v = {0};
    size_t cap = FIRST_BYTES;
    int rc;
    do {
        buf_clear(scratch);
        char *p = buf_reserve(scratch, cap);
        rc = shdict_pop(d, key, lua_toboolean(L, 3), &v, p, cap);
        if (rc == SHD_NO_MEMORY && v.string.n <= cap)
            break;
        cap = v.string.n;
    } while (rc == SHD_NO_MEMORY);
    if (rc == SHD_NOT_FOUND) {
        lua_pushnil(L);
        return 1;
    }
    if (rc != SHD_OK)
        return push_code(L, rc);
    push_value(L, &v);
    return 1;
}

static int l_len(lua_State *L)
{
    uint32_t len = 0;
    int rc = shdict_len(arg_dict(L), arg_str(L, 2), &len);
    if (rc != SHD_OK && rc != SHD_NOT_FOUND)
        return push_code(L, rc);
    lua_pushnumber(L, len);
    return 1;
}

static int l_capacity(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)shdict_capacity(arg_dict(L)));
    return 1;
}

static int l_free_space(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)shdict_free_space(arg_dict(L)));
    return 1;
}

const luaL_Reg native_shdict[] = {
    {"shd_find", l_find},
    {"shd_names", l_names},
    {"shd_get", l_get},
    {"shd_store", l_store},
    {"shd_delete", l_delete},
    {"shd_ttl", l_ttl},
    {"shd_expire", l_expire},
    {"shd_flush_all", l_flush_all},
    {"shd_flush_expired", l_flush_expired},
    {"shd_keys", l_keys},
    {"shd_push", l_push},
    {"shd_pop", l_pop},
    {"shd_len", l_len},
    {"shd_capacity", l_capacity},
    {"shd_free_space", l_free_space},
    {NULL, NULL},
};
