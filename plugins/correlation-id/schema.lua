-- Configuration of correlation-id: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

return {
  name = "correlation-id",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { header_name = typedefs.header_name { default = "Kong-Request-ID",
          description = "The header that carries the id." } },
        { generator = { type = "string", required = true, default = "uuid#counter",
          one_of = { "uuid", "uuid#counter", "tracker" },
          description = "How an id is made where the client sent none: a UUID; a UUID of the worker and a "
            .. "counter; or address, port, process, connection and time." } },
        { echo_downstream = { type = "boolean", required = true, default = false,
          description = "Send the id to the client too." } },
      },
    } },
  },
}
