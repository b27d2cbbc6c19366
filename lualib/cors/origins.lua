-- The origins that cors allows: one list, compiled once, then asked about a request's Origin.
-- Pure: the regular expression engine is handed in.
-- Invariant: a pattern must match the whole of what it is compared with, from its first to its last byte.

local find, lower, match = string.find, string.lower, string.match

local _M = {}

local PLAIN = "^[%w.:/-]+$"
local DEFAULT_PORTS = { http = "80", https = "443" }

--- "scheme://host:port" in lower case, the port always there when it can be known; and the host alone.
-- A text that is no such origin ("null") is itself, and has no host.
function _M.normalise(origin)
  origin = lower(origin)
  local scheme, authority = match(origin, "^(%a[%w+.-]*)://([^/]+)/?$")
  if not scheme then
    return origin, nil
  end
  local host, port = match(authority, "^(.+):(%d+)$")
  host, port = host or authority, port or DEFAULT_PORTS[scheme]
  return scheme .. "://" .. host .. (port and ":" .. port or ""), host
end

-- The origin without the port that its scheme has anyway: what a pattern sees.
local function without_default_port(origin)
  local scheme, rest, port = match(origin, "^(%a[%w+.-]*)(://.+):(%d+)$")
  return scheme and DEFAULT_PORTS[scheme] == port and scheme .. rest or origin
end

local function compile_entry(entry)
  local by_host = not find(entry, ":", 1, true)
  if not find(entry, PLAIN) then
    return { pattern = "^(?:" .. entry .. ")$", by_host = by_host }
  elseif by_host then
    return { text = lower(entry), by_host = true }
  end
  return { text = (_M.normalise(entry)) }
end

--- What a list means: {all = true}: every origin; {fixed = text}: this one is named whoever asks; otherwise entries to
-- compare with. An empty list, or "*" in it, is every origin.
function _M.compile(list)
  local out = { all = not list or #list == 0 }
  for i, entry in ipairs(list or {}) do
    out.all = out.all or entry == "*"
    out[i] = entry ~= "*" and compile_entry(entry) or nil
  end
  if not out.all and #list == 1 and out[1].text then
    out.fixed = list[1]
  end
  return out
end

local function fits(entry, origin, host, short, matches)
  local subject = entry.by_host and host or not entry.by_host and origin
  if not subject then
    return false
  elseif entry.text then
    return entry.text == subject
  elseif entry.by_host then
    return matches(host, entry.pattern)
  end
  return matches(short, entry.pattern) or (short ~= origin and matches(origin, entry.pattern))
end

--- Is the origin one of the compiled list's? matches(subject, pattern) -> boolean, by PCRE.
function _M.allows(compiled, origin, matches)
  local normal, host = _M.normalise(origin)
  local short = without_default_port(normal)
  for i = 1, #compiled do
    if fits(compiled[i], normal, host, short, matches) then
      return true
    end
  end
  return false
end

return _M
