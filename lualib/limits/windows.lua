-- Calendar windows in UTC: second, minute, hour, day, month, year. Pure.
-- A window starts where the calendar does, so all nodes agree on it.

local floor = math.floor

local FIXED = { second = 1, minute = 60, hour = 3600, day = 86400 }

local _M = { periods = { "second", "minute", "hour", "day", "month", "year" } }

-- Days since 1970-01-01 of the first day of a month (proleptic Gregorian; Howard Hinnant's formula).
local function days_of(year, month)
  local y = month <= 2 and year - 1 or year
  local era = floor(y / 400)
  local yoe = y - era * 400
  local doy = floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5)
  return era * 146097 + yoe * 365 + floor(yoe / 4) - floor(yoe / 100) + doy - 719468
end

-- Year and month of a time in seconds.
local function year_and_month(now)
  local z = floor(now / 86400) + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  return yoe + era * 400 + (month <= 2 and 1 or 0), month
end

-- Start and length, in seconds, of the window of a period that `now` (seconds) lies in.
function _M.of(period, now)
  local fixed = FIXED[period]
  if fixed then
    return floor(now / fixed) * fixed, fixed
  end
  local year, month = year_and_month(now)
  local first, after
  if period == "month" then
    first = days_of(year, month)
    after = month == 12 and days_of(year + 1, 1) or days_of(year, month + 1)
  else
    first, after = days_of(year, 1), days_of(year + 1, 1)
  end
  return first * 86400, (after - first) * 86400
end

return _M
