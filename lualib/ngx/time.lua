-- Clocks and dates of ngx. Cached time, as OpenResty's: update_time reads the clock anew.

local node = require "moongate.abi.node"

local _M = {}

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS = {
  "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
}
local MONTH_NUMBERS = {}
for i, name in ipairs(MONTHS) do
  MONTH_NUMBERS[name] = i
end

local YEAR_10000 = 253402300800

local function date(seconds)
  local t = seconds > -YEAR_10000 and seconds < YEAR_10000 and os.date("!*t", math.floor(seconds))
  return t or error(("bad argument #1 (%g is no time)"):format(seconds), 4)
end

local function http_time(seconds)
  local t = date(seconds)
  return ("%s, %02d %s %d %02d:%02d:%02d GMT"):format(DAYS[t.wday], t.day, MONTHS[t.month], t.year,
    t.hour, t.min, t.sec)
end

local function cookie_time(seconds)
  local t = date(seconds)
  local year = t.year > 2037 and ("%d"):format(t.year) or ("%02d"):format(t.year % 100)
  return ("%s, %02d-%s-%s %02d:%02d:%02d GMT"):format(DAYS[t.wday], t.day, MONTHS[t.month], year,
    t.hour, t.min, t.sec)
end

-- Days since 1970-01-01 of a date of the Gregorian calendar.
local function days_of(year, month, day)
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  local era_days = 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
  return era_days + math.floor((153 * (month - 3) + 2) / 5) + day - 1 - 719468
end

local PATTERNS = {
  "^%a+, (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$",
  "^%a+, (%d%d)%-(%a%a%a)%-(%d%d%d?%d?) (%d%d):(%d%d):(%d%d) GMT$",
}

local function parse_http_time(text)
  local day, month, year, hour, min, sec
  for _, pattern in ipairs(PATTERNS) do
    day, month, year, hour, min, sec = text:match(pattern)
    if day then
      break
    end
  end
  if not day then
    month, day, hour, min, sec, year = text:match("^%a+ (%a%a%a) +(%d+) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$")
  end
  local number = MONTH_NUMBERS[month]
  if not number then
    return nil
  end
  year = tonumber(year)
  if year < 100 then
    year = year + (year < 70 and 2000 or 1900)
  end
  return days_of(year, number, tonumber(day)) * 86400 + tonumber(hour) * 3600 + tonumber(min) * 60
    + tonumber(sec)
end

function _M.fill(ngx)
  ngx.now = node.now
  ngx.update_time = node.update_time
  ngx.http_time = http_time
  ngx.cookie_time = cookie_time
  ngx.parse_http_time = parse_http_time

  function ngx.time()
    return math.floor(node.now())
  end
  function ngx.today()
    return os.date("%Y-%m-%d", math.floor(node.now()))
  end
  function ngx.localtime()
    return os.date("%Y-%m-%d %H:%M:%S", math.floor(node.now()))
  end
  function ngx.utctime()
    return os.date("!%Y-%m-%d %H:%M:%S", math.floor(node.now()))
  end
end


return _M
