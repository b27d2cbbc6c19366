-- Configuration of redirect: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

return {
  name = "redirect",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { status_code = { type = "integer", required = true, default = 301, between = { 100, 599 },
          description = "Status of the answer." } },
        { location = typedefs.url { required = true, description = "Where clients are sent." } },
        { keep_incoming_path = { type = "boolean", required = true, default = false,
          description = "Send them to the path and query they asked for, on the location's host." } },
      },
    } },
  },
}
