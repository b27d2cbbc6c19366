-- Configuration of request-transformer: Kong 3.14's fields, defaults and checks.

local shared = require "moongate.transform.schema"
local template = require "moongate.transform.template"
local typedefs = require "moongate.schema.typedefs"

local function check_template(text)
  local ok, err = template.compile(text)
  if not ok then
    return nil, "value '" .. text .. "' is not in supported format, error:" .. err
  end
  return true
end

local check_value = shared.value_checker(check_template)
local check_name, check_header = shared.header_checker(), shared.header_checker(check_value)

local function list(name, check, description)
  return shared.list(name, check, description, check ~= nil)
end

-- The record of one action. `what` describes an entry; values: entries are name:value.
local function action(name, what, valued, more)
  local fields = {
    list("headers", valued and check_header or check_name, what .. " of headers."),
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
          custom_validator = check_template,
          description = "The path that goes upstream, instead of the service's and the request's." } }),
        action("add", "name:value where the name is not there yet,", true),
        action("append", "name:value beside what is there,", true),
      },
    } },
  },
}
