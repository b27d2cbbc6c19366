// The path sent upstream: Kong's path_handling v0 and v1, row for row. Part of router.h.
#include "config/router.h"

#include "base/check.h"

static str_t join(arena_t *a, str_t left, str_t middle, str_t right)
{
    if (middle.n + right.n == 0)
        return left;
    if (left.n + middle.n == 0)
        return right;
    char *p = arena_alloc(a, left.n + middle.n + right.n);
    memcpy(p, left.p, left.n);
    memcpy(p + left.n, middle.p, middle.n);
    memcpy(p + left.n + middle.n, right.p, right.n);
    return str_make(p, left.n + middle.n + right.n);
}

static bool starts_with_slash(str_t s)
{
    return s.n && s.p[0] == '/';
}

static bool ends_with_slash(str_t s)
{
    return s.n && s.p[s.n - 1] == '/';
}

static str_t without_first_slash(str_t s)
{
    return starts_with_slash(s) ? str_from_at(s, 1) : s;
}

// What is left of the path behind the prefix; without its first slash when no prefix was matched.
static str_t postfix_of(str_t path, size_t prefix)
{
    str_t postfix = prefix ? str_from_at(path, prefix) : without_first_slash(path);
    if (str_eq(postfix, STR(".")) || str_eq(postfix, STR("..")))
        return STR("");
    if (str_starts(postfix, STR("./")))
        return str_from_at(postfix, 2);
    if (str_starts(postfix, STR("../")))
        return str_from_at(postfix, 3);
    return postfix;
}

static str_t stripped_v0(arena_t *a, str_t base, str_t path, str_t postfix)
{
    bool slash = ends_with_slash(base);
    str_t bare = slash ? str_make(base.p, base.n - 1) : base;
    if (postfix.n)
        return join(a, bare, starts_with_slash(postfix) ? STR("") : STR("/"), postfix);
    if (bare.n == 0)
        return STR("/");
    if (slash)
        return ends_with_slash(path) ? base : bare;
    return path.n > 1 && ends_with_slash(path) ? join(a, base, STR("/"), STR("")) : base;
}

static str_t kept_v0(arena_t *a, str_t base, str_t path)
{
    if (ends_with_slash(base))
        return base.n == 1 && starts_with_slash(path)
                   ? path
                   : join(a, base, without_first_slash(path), STR(""));
    return str_eq(path, STR("/")) ? base : join(a, base, STR(""), path);
}

str_t router_upstream_path(arena_t *a, const route_t *route, str_t service_path, str_t path,
                           size_t prefix)
{
    ASSERT(prefix <= path.n, "the matched prefix is part of the path");
    str_t base = service_path.n ? service_path : STR("/");
    str_t postfix = route->strip_path ? postfix_of(path, prefix) : path;
    if (route->path_handling == 1)
        return join(a, base, without_first_slash(postfix), STR(""));
    return route->strip_path ? stripped_v0(a, base, path, postfix) : kept_v0(a, base, path);
}
