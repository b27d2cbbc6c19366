-- Formats of JSON Schema: name -> function(text) -> truth. Unknown formats say nothing, as the standard has it. Pure.

local address = require "moongate.schema.address"

local find, match = string.find, string.match

local DAYS = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_date(text)
  local year, month, day = match(text, "^(%d%d%d%d)%-(%d%d)%-(%d%d)$")
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if not year or month < 1 or month > 12 or day < 1 or day > DAYS[month] then
    return false
  end
  local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return month ~= 2 or day < 29 or leap
end

local function is_time(text)
  local h, m, s, zone = match(text, "^(%d%d):(%d%d):(%d%d)%.?%d*(.*)$")
  if not h or tonumber(h) > 23 or tonumber(m) > 59 or tonumber(s) > 60 or find(text, "%.[^%d]") then
    return false
  end
  local zh, zm = match(zone, "^[+-](%d%d):(%d%d)$")
  return zone == "Z" or zone == "z" or zh ~= nil and tonumber(zh) < 24 and tonumber(zm) < 60
end

local function is_hostname(text)
  if #text == 0 or #text > 253 or find(text, "..", 1, true) or text:sub(1, 1) == "." then
    return false
  end
  for label in text:gmatch("[^.]+") do
    if #label > 63 or not find(label, "^%w[%w-]*$") or label:sub(-1) == "-" then
      return false
    end
  end
  return true
end

local function is_ipv4(text)
  local parts = { match(text, "^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  for _, part in ipairs(parts) do
    if #part > 3 or tonumber(part) > 255 or #part > 1 and part:sub(1, 1) == "0" then
      return false
    end
  end
  return #parts == 4
end

return {
  date = is_date,
  time = is_time,
  ["date-time"] = function(text)
    local date, time = match(text, "^(.-)[Tt ](.+)$")
    return date ~= nil and is_date(date) and is_time(time)
  end,
  email = function(text)
    local name, host = match(text, "^([^@%s]+)@([^@%s]+)$")
    return name ~= nil and #name <= 64 and is_hostname(host)
  end,
  hostname = is_hostname,
  ipv4 = is_ipv4,
  ipv6 = function(text)
    return find(text, ":", 1, true) ~= nil and address.check_ip(text) and true or false
  end,
  uri = function(text)
    return find(text, "^%a[%w+.-]*:[^%s%c<>\"{}|\\^`]+$") ~= nil
  end,
  uuid = function(text)
    return #text == 36 and find(text, "^%x+%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x+$") == 1 and text:sub(9, 9) == "-"
  end,
}
