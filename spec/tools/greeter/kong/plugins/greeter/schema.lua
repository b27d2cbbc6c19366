local typedefs = require "kong.db.schema.typedefs"

return {
  name = "greeter",
  fields = {
    { consumer = typedefs.no_consumer },
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { request_header = typedefs.header_name { required = true, default = "X-Greeting" } },
        { response_header = typedefs.header_name { required = true, default = "X-Number" } },
        { ban = { type = "string", len_min = 2 } },
      },
      entity_checks = {
        { distinct = { "request_header", "response_header" } },
      },
    } },
  },
}
