-- What a shared cache may keep and for how long (RFC 9111, as far as Kong's proxy-cache follows it):
-- directives, freshness, media types, keys.
-- Not the storage (cache/store). Pure.

local query = require "moongate.util.query"

local find, gmatch, lower, match = string.find, string.gmatch, string.lower, string.match
local concat, sort = table.concat, table.sort
local floor, max = math.floor, math.max

local _M = {}

-- Directives of Cache-Control: {["max-age"] = 10, ["no-store"] = true}; {} without any.
function _M.directives(text)
  local out = {}
  for part in gmatch(text or "", "[^,]+") do
    local name, value = match(part, '^%s*([^=%s]+)%s*=%s*"?([^"]-)"?%s*$')
    if name then
      out[lower(name)] = tonumber(value) or value
    else
      name = match(part, "^%s*([^=%s]+)%s*$")
      if name then
        out[lower(name)] = true
      end
    end
  end
  return out
end

local function seconds(value)
  return type(value) == "number" and value or nil
end

local MONTHS = {}
for i, name in ipairs({ "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }) do
  MONTHS[name] = i
end

-- Seconds since 1970 of an HTTP date (IMF-fixdate), or nil.
function _M.http_time(text)
  local day, month, year, h, m, s = match(text or "", "^%a+, (%d+) (%a+) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$")
  month = MONTHS[month]
  if not month then
    return nil
  end
  -- Days of the civil calendar (Howard Hinnant's formula), March being the first month.
  local y = tonumber(year) - (month <= 2 and 1 or 0)
  local era = floor(y / 400)
  local of_era = y - era * 400
  local of_year = floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5) + day - 1
  local days = era * 146097 + of_era * 365 + floor(of_era / 4) - floor(of_era / 100) + of_year - 719468
  return days * 86400 + h * 3600 + m * 60 + s
end

-- How long the origin lets a response live, seconds; 0 when it does not say.
function _M.lifetime(directives, expires, now)
  local age = seconds(directives["s-maxage"]) or seconds(directives["max-age"])
  if age then
    return age
  end
  local at = _M.http_time(expires)
  return at and max(0, at - now) or 0
end

-- A stored response of that age and lifetime, for a client with those directives (nil: they do not
-- count, and only the lifetime does): may it be served?
function _M.is_fresh(age, ttl, directives)
  if not directives then
    return age <= ttl
  end
  local max_age, min_fresh, max_stale = seconds(directives["max-age"]), seconds(directives["min-fresh"]),
    directives["max-stale"]
  if max_age and age > max_age or min_fresh and ttl - age < min_fresh then
    return false
  end
  return max_stale == true or age <= ttl + (seconds(max_stale) or 0)
end

-- Media types ------------------------------------------------------------------------------------

-- type, subtype, {parameter = value}, how many; nil when it is none.
local function parse_mime(text)
  local kind, sub, rest = match(text, "^%s*([^/%s;]+)/([^/%s;]+)%s*(.*)$")
  if not kind then
    return nil
  end
  local params, n = {}, 0
  for name, value in gmatch(rest, ';%s*([^=;%s]+)%s*=%s*"?([^";]*)"?') do
    params[lower(name)], n = lower(match(value, "^(.-)%s*$")), n + 1
  end
  return lower(kind), lower(sub), params, n
end

-- Is a Content-Type one of the list? Types and subtypes there may be "*"; parameters must be the same.
function _M.is_listed(content_type, list)
  local kind, sub, params, n = parse_mime(content_type or "")
  for _, wanted in ipairs(kind and list or {}) do
    local want_kind, want_sub, want_params, want_n = parse_mime(wanted)
    local same = want_kind and (want_kind == "*" or want_kind == kind) and (want_sub == "*" or want_sub == sub)
      and want_n == n
    for name, value in pairs(same and want_params or {}) do
      same = same and params[name] == value
    end
    if same then
      return true
    end
  end
  return false
end

-- Keys -------------------------------------------------------------------------------------------

local function put(out, name, value)
  if type(value) == "table" then
    for _, one in ipairs(value) do
      put(out, name, one)
    end
  else
    out[#out + 1] = query.encode(name) .. (value == true and "" or "=" .. query.encode(tostring(value)))
  end
end

-- Text of the named members of a table (names nil: of all), the same for equal ones and for no others.
function _M.canonical(values, names)
  local list, out = {}, {}
  if names then
    for i, name in ipairs(names) do
      list[i] = name
    end
  else
    for name in pairs(values) do
      list[#list + 1] = name
    end
  end
  sort(list)
  for _, name in ipairs(list) do
    local value = values[name]
    if value ~= nil then
      put(out, name, value)
    end
  end
  return concat(out, ":")
end

-- Of the request line without what follows a "?", as Kong has it in its keys.
function _M.request_line(method, target, version)
  local line = ("%s %s HTTP/%s"):format(method, target, version)
  local from = find(line, "?", 1, true)
  return from and line:sub(1, from - 1) or line
end

return _M
