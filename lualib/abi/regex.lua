-- Regular expressions over PCRE2, with match limits. Compiled patterns are cached by their text and
-- options (bounded); options are ngx.re's letters.

local native = require("moongate.abi.c").native

local _M = {}

local CACHE_MAX = 1024

local cache, cached = {}, 0

-- {code =, names = {number, name, ...}} of a pattern, or nil, why.
local function compile(pattern, options)
  options = options or ""
  local of_options = cache[options]
  if not of_options then
    of_options = {}
    cache[options] = of_options
  end
  local found = of_options[pattern]
  if found then
    return found
  end
  local code, err = native.re_compile(pattern, options)
  if not code then
    return nil, err
  end
  if cached >= CACHE_MAX then
    cache, cached = { [options] = {} }, 0
    of_options = cache[options]
  end
  found = { code = code, names = native.re_names(code) }
  of_options[pattern] = found
  cached = cached + 1
  return found
end

_M.compile = compile

-- Matches from byte `from` (1-based). The number of groups (the whole match counted) with their
-- 1-based inclusive offsets in `out` {s0, e0, s1, e1, ...}, false for a group that took no part;
-- nil when there is no match; nil, why on an error. An empty match has e = s - 1.
-- not_empty: only a match of at least one byte right at `from`.
function _M.exec(re, subject, from, out, not_empty)
  return native.re_exec(re.code, subject, from, out, not_empty)
end

return _M
