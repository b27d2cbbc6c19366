local windows = require "moongate.limits.windows"

-- Start of the calendar window, by the C library.
local function expected(period, now)
  local t = os.date("!*t", now)
  local from = { year = t.year, month = 1, day = 1, hour = 0, min = 0, sec = 0 }
  local order = { "year", "month", "day", "hour", "minute", "second" }
  local fields = { month = "month", day = "day", hour = "hour", minute = "min", second = "sec" }
  for _, name in ipairs(order) do
    if fields[name] then
      from[fields[name]] = t[fields[name]]
    end
    if name == period then
      break
    end
  end
  local offset = os.time(os.date("!*t", 86400 * 200)) - 86400 * 200 -- of the local zone
  from.isdst = false
  return os.time(from) - offset
end

describe("limits.windows", function()
  it("starts windows where the UTC calendar does", function()
    local times = { 0, 1, 951782399, 951782400, 951868800, 1078012800, 1709164800, 1709251199.75,
      1735689599, 1735689600, 1795400722.5, 4102444799, 4107542400 }
    for _, now in ipairs(times) do
      for _, period in ipairs(windows.periods) do
        local start, length = windows.of(period, now)
        assert.same(expected(period, math.floor(now)), start, period .. " at " .. now)
        assert.is_true(start <= now and now < start + length)
      end
    end
  end)

  it("lets each window end where the next begins", function()
    for _, period in ipairs(windows.periods) do
      local at = 1700000000
      for _ = 1, 30 do
        local start, length = windows.of(period, at)
        at = start + length
        assert.same(at, (windows.of(period, at)), period)
        assert.same(start, (windows.of(period, at - 0.001)), period)
      end
    end
  end)

  it("knows how long months and years are", function()
    local function days(period, now)
      return select(2, windows.of(period, now)) / 86400
    end
    assert.same(29, days("month", 1709164800)) -- February 2024
    assert.same(28, days("month", 1739000000)) -- February 2025
    assert.same(366, days("year", 1709164800))
    assert.same(365, days("year", 1739000000))
    assert.same(365, days("year", 4107542400)) -- 2100
  end)
end)
