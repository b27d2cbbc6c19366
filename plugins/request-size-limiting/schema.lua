-- Configuration of request-size-limiting: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

return {
  name = "request-size-limiting",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { allowed_payload_size = { type = "integer", default = 128,
          description = "The largest request body that passes, in size_unit." } },
        { size_unit = { type = "string", required = true, default = "megabytes",
          one_of = { "megabytes", "kilobytes", "bytes" },
          description = "Unit of allowed_payload_size; a kilobyte has 1024 bytes." } },
        { require_content_length = { type = "boolean", required = true, default = false,
          description = "Refuse requests with a body whose length is not declared." } },
      },
    } },
  },
}
