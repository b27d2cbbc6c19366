-- Configuration of response-transformer: Kong 3.14's fields, defaults and checks.

local shared = require "moongate.transform.schema"
local typedefs = require "moongate.schema.typedefs"

local list, check_value = shared.list, shared.value_checker()
local check_name, check_header = shared.header_checker(), shared.header_checker(check_value)

local types = { json_types = { type = "array", required = true, default = {},
  elements = { type = "string", one_of = { "boolean", "number", "string" } },
  description = "Types of the values in json, in the same order; string where none is given." } }

-- The record of one action. valued: entries are name:value; typed: values have types.
local function action(name, what, valued, typed)
  return { [name] = { type = "record", required = true, description = "What to " .. name .. ".", fields = {
    list("json", valued and check_value or nil, what .. " of top-level members of a JSON body."),
    list("headers", valued and check_header or check_name, what .. " of headers."),
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
