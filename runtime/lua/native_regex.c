// Native functions over PCRE2: compiled patterns as userdata, one match at a time. Caching by pattern is Lua's
// (lualib/abi/regex.lua). Invariant: a match has limits, so that no pattern and subject can hold the loop for long.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "lua/bridge.h"

#include <pcre2.h>
#include <stdio.h>

#include "base/check.h"

static const char REGEX_TYPE[] = "moongate.regex";
enum { MATCH_LIMIT = 1000000, DEPTH_LIMIT = 100000, HEAP_LIMIT_KIB = 20000 };

typedef struct regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
} regex_t;

static int l_gc(lua_State *L)
{
    regex_t *re = luaL_checkudata(L, 1, REGEX_TYPE);
    pcre2_match_data_free(re->data);
    pcre2_match_context_free(re->context);
    pcre2_code_free(re->code);
    *re = (regex_t){0};
    return 0;
}

// Options as ngx.re's letters; ones that only concern caching and compilation are accepted. The letter that is none, or 0.
static char parse_options(str_t text, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.n; i++) {
        switch (text.p[i]) {
        case 'a':
            *out |= PCRE2_ANCHORED;
            break;
        case 'D':
            *out |= PCRE2_DUPNAMES;
            break;
        case 'i':
            *out |= PCRE2_CASELESS;
            break;
        case 'J':
            *out |= PCRE2_ALLOW_EMPTY_CLASS | PCRE2_MATCH_UNSET_BACKREF;
            break;
        case 'm':
            *out |= PCRE2_MULTILINE;
            break;
        case 's':
            *out |= PCRE2_DOTALL;
            break;
        case 'u':
            *out |= PCRE2_UTF;
            break;
        case 'U':
            *out |= PCRE2_UTF | PCRE2_NO_UTF_CHECK;
            break;
        case 'x':
            *out |= PCRE2_EXTENDED;
            break;
        case 'd':
        case 'j':
        case 'o':
            break;
        default:
            return text.p[i];
        }
    }
    return 0;
}

// re_compile(pattern, options) -> regex | nil, why
static int l_compile(lua_State *L)
{
    str_t pattern = arg_str(L, 1), options = arg_str_opt(L, 2);
    uint32_t flags;
    char odd = parse_options(options, &flags);
    if (odd)
        return luaL_error(L, "unknown flag \"%c\" (flags \"%s\")", odd, options.p);
    int code;
    PCRE2_SIZE at;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, flags, &code, &at, NULL);
    if (!compiled) {
        unsigned char text[200];
        pcre2_get_error_message(code, text, sizeof text);
        lua_pushnil(L);
        lua_pushfstring(L, "pcre2_compile() failed: %s in \"%s\"", (char *)text, pattern.p);
        if (at < pattern.n) {
            lua_pushfstring(L, " at \"%s\"", pattern.p + at);
            lua_concat(L, 2);
        }
        return 2;
    }
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); // without it matching is interpreted
    regex_t *re = lua_newuserdata(L, sizeof *re);
    re->code = compiled;
    re->data = pcre2_match_data_create_from_pattern(compiled, NULL);
    re->context = pcre2_match_context_create(NULL);
    ASSERT(re->data && re->context, "out of memory");
    pcre2_set_match_limit(re->context, MATCH_LIMIT);
    pcre2_set_depth_limit(re->context, DEPTH_LIMIT);
    pcre2_set_heap_limit(re->context, HEAP_LIMIT_KIB);
    luaL_getmetatable(L, REGEX_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

// re_exec(regex, subject, from (1-based)[, table[, not_empty]]) -> groups, with offsets in table[1..2*groups] (1-based, inclusive; false: unset)
// | nil (no match) | nil, why
static int l_exec(lua_State *L)
{
    regex_t *re = luaL_checkudata(L, 1, REGEX_TYPE);
    str_t subject = arg_str(L, 2);
    lua_Number from = luaL_optnumber(L, 3, 1);
    luaL_checktype(L, 4, LUA_TTABLE);
    uint32_t flags = lua_toboolean(L, 5) ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0;
    if (from < 1 || from > (lua_Number)subject.n + 1) {
        lua_pushnil(L);
        return 1;
    }
    int rc = pcre2_match(re->code, (PCRE2_SPTR)subject.p, subject.n, (PCRE2_SIZE)from - 1,
                         flags, re->data, re->context);
    if (rc == PCRE2_ERROR_NOMATCH) {
        lua_pushnil(L);
        return 1;
    }
    if (rc < 0) {
        lua_pushnil(L);
        lua_pushfstring(L, "pcre2_match() failed: %d", rc);
        return 2;
    }
    uint32_t groups = pcre2_get_ovector_count(re->data);
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(re->data);
    for (uint32_t i = 0; i < groups; i++) {
        bool set = i < (uint32_t)rc && at[2 * i] != PCRE2_UNSET;
        if (set)
            lua_pushnumber(L, (lua_Number)at[2 * i] + 1);
        else
            lua_pushboolean(L, 0);
        lua_rawseti(L, 4, (int)(2 * i + 1));
        if (set)
            lua_pushnumber(L, (lua_Number)at[2 * i + 1]);
        else
            lua_pushboolean(L, 0);
        lua_rawseti(L, 4, (int)(2 * i + 2));
    }
    lua_pushnumber(L, groups);
    return 1;
}

// re_names(regex) -> {group number, name, group number, name, ...}
static int l_names(lua_State *L)
{
    const regex_t *re = luaL_checkudata(L, 1, REGEX_TYPE);
    uint32_t count = 0, size = 0;
    PCRE2_SPTR table = NULL;
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMECOUNT, &count);
    lua_createtable(L, (int)count * 2, 0);
    if (count == 0)
        return 1;
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    pcre2_pattern_info(re->code, PCRE2_INFO_NAMETABLE, &table);
    for (uint32_t i = 0; i < count; i++, table += size) {
        lua_pushnumber(L, table[0] << 8 | table[1]);
        lua_rawseti(L, -2, (int)(2 * i + 1));
        lua_pushstring(L, (const char *)table + 2);
        lua_rawseti(L, -2, (int)(2 * i + 2));
    }
    return 1;
}

void regex_open_type(lua_State *L)
{
    luaL_newmetatable(L, REGEX_TYPE);
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

const luaL_Reg native_regex[] = {
    {"re_compile", l_compile}, {"re_exec", l_exec}, {"re_names", l_names}, {NULL, NULL}};
