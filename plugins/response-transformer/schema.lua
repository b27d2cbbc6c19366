-- Configuration of response-transformer: Kong 3.14's fields, defaults and checks.

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

local function list(name, check, description)
  return { [name] = { type = "array", required = true, default = {},
    elements = { type = "string", custom_validator = check }, description = description } }
end

local types = { json_types = { type = "array", required = true, default = {},
  elements = { type = "string", one_of = { "boolean", "number", "string" } },
  description = "Types of the values in json, in the same order; string where none is given." } }

-- The record of one action. valued: entries are name:value; typed: values have types.
local function action(name, what, valued, typed)
  return { [name] = { type = "record", required = true, description = "What to " .. name .. ".", fields = {
    list("json", valued and check_value or nil, what .. " of top-level members of a JSON body."),
    list("headers", valued and check_both or check_header, what .. " of headers."),
    typed and types or nil,
  } } }
end

return {
  name = "response-transformer",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        action("remove", "Names", false),
        action("rename", "old:new names", true),
        action("replace", "name:value where the name is there already,", true, true),
        action("add", "name:value where the name is not there yet,", true, true),
        action("append", "name:value beside what is there,", true, true),
      },
    } },
  },
}
