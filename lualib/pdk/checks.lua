-- Checks of arguments that several PDK functions share. They blame the caller of the public function:
-- call them straight from it, never as a tail call.

local floor = math.floor

local M = {}

local DEFAULT_COUNT, MAX_COUNT = 100, 1000

-- How many headers or arguments to return: `max`, or 100. `what` is the parameter's name.
function M.count(max, what)
  if max == nil then
    return DEFAULT_COUNT
  elseif type(max) ~= "number" then
    error(what .. " must be a number", 3)
  elseif max < 1 then
    error(what .. " must be >= 1", 3)
  elseif max > MAX_COUNT then
    error(what .. " must be <= " .. MAX_COUNT, 3)
  end
  return max
end

function M.string(value, what)
  if type(value) ~= "string" then
    error(what .. " must be a string", 3)
  end
end

function M.integer(value, what, low, high)
  if type(value) ~= "number" or floor(value) ~= value then
    error(what .. " must be an integer", 3)
  elseif value < low or value > high then
    error(("%s must be an integer between %d and %d: given %.0f"):format(what, low, high, value), 3)
  end
end

-- An HTTP status between `low` and 599.
function M.status(code, low)
  if type(code) ~= "number" or floor(code) ~= code then
    error("code must be a number", 3)
  elseif code < low or code > 599 then
    error("code must be a number between " .. low .. " and 599", 3)
  end
end

local SCALAR = { string = true, number = true, boolean = true }

local function header_error(name, value, level)
  error(('invalid value for "%s": got %s, expected string, number, boolean or array of strings')
    :format(name, type(value)), level + 1)
end

local function check_header(name, value, level)
  if type(name) ~= "string" then
    error("header must be a string", level + 1)
  elseif type(value) == "table" then
    for i = 1, #value do
      if not SCALAR[type(value[i])] then
        header_error(name, value[i], level + 1)
      end
    end
  elseif not SCALAR[type(value)] then
    header_error(name, value, level + 1)
  end
end

function M.header(name, value)
  check_header(name, value, 3)
end

-- A table of headers; a tag ("headers must be a table") says what it is when it is none.
function M.headers(headers, message)
  if type(headers) ~= "table" then
    error(message or "headers must be a table", 3)
  end
  for name, value in pairs(headers) do
    if type(name) ~= "string" then
      error(('invalid name "%s": got %s, expected string'):format(tostring(name), type(name)), 3)
    end
    check_header(name, value, 3)
  end
end

return M
