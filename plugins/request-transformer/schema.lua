-- Configuration of request-transformer: Kong 3.14's fields, defaults and checks.

local template = require "moongate.transform.template"
local typedefs = require "moongate.schema.typedefs"

local is_header_name = typedefs.header_name.custom_validator

local function split(entry)
  return entry:match("^([^:]+):*(.-)$")
end

local function check_value(entry)
  local name, value = split(entry)
  if not name or value == "" then
    return nil, "key '" .. tostring(name or entry:gsub(":.*", "")) .. "' has no value"
  end
  local ok, err = template.compile(value)
  if not ok then
    return nil, "value '" .. value .. "' is not in supported format, error:" .. err
  end
  return true
end

local function check_header(entry)
  local name = split(entry)
  if not name or not is_header_name(name) then
    return nil, ("'%s' is not a valid header"):format(tostring(name or entry))
  end
  return true
end

local function check_both(entry)
  local ok, err = check_header(entry)
  if not ok then
    return nil, err
  end
  return check_value(entry)
end

local function check_uri(text)
  local ok, err = template.compile(text)
  if not ok then
    return nil, "value '" .. text .. "' is not in supported format, error:" .. err
  end
  return true
end

local function list(name, check, description)
  return { [name] = { type = "array", required = true, default = {},
    elements = { type = "string", referenceable = check ~= nil or nil, custom_validator = check },
    description = description } }
end

-- The record of one action. `what` describes an entry; values: entries are name:value.
local function action(name, what, valued, more)
  local fields = {
    list("headers", valued and check_both or check_header, what .. " of headers."),
    list("querystring", valued and check_value or nil, what .. " of arguments in the query."),
    list("body", valued and check_value or nil, what .. " of a form, or members of a JSON object."),
  }
  fields[#fields + 1] = more
  return { [name] = { type = "record", required = true, fields = fields,
    description = "What to " .. name .. "." } }
end

return {
  name = "request-transformer",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { http_method = typedefs.http_method { description = "The method that goes upstream." } },
        action("remove", "Names"),
        action("rename", "old:new names", true),
        action("replace", "name:value where the name is there already,", true, { uri = { type = "string",
          custom_validator = check_uri,
          description = "The path that goes upstream, instead of the service's and the request's." } }),
        action("add", "name:value where the name is not there yet,", true),
        action("append", "name:value beside what is there,", true),
      },
    } },
  },
}
