-- What the schemas of request-transformer and response-transformer share: lists of names and of name:value, and their checks.
-- Not the actions' fields (the plugins). Messages are Kong's.

local typedefs = require "moongate.schema.typedefs"

local M = {}

local is_header_name = typedefs.header_name.custom_validator

local function split(entry)
  return entry:match("^([^:]+):*(.-)$")
end

local function check_header(entry)
  local name = split(entry)
  if not name or not is_header_name(name) then
    return nil, ("'%s' is not a valid header"):format(tostring(name or entry))
  end
  return true
end

--- A validator of "name:value". check(value): what else the value must be; nil: anything.
function M.value_checker(check)
  return function(entry)
    local name, value = split(entry)
    if not name or value == "" then
      return nil, "key '" .. tostring(name or entry:gsub(":.*", "")) .. "' has no value"
    elseif check then
      return check(value)
    end
    return true
  end
end

--- The validator of a list of headers; check_value: of their values, nil when entries are names only.
function M.header_checker(check_value)
  return function(entry)
    local ok, err = check_header(entry)
    if ok and check_value then
      return check_value(entry)
    end
    return ok, err
  end
end

--- A field that is a list of texts.
function M.list(name, check, description, referenceable)
  return { [name] = { type = "array", required = true, default = {},
    elements = { type = "string", referenceable = referenceable or nil, custom_validator = check },
    description = description } }
end

return M
