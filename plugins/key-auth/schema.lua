-- Configuration of key-auth: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

return {
  name = "key-auth",
  fields = {
    { consumer = typedefs.no_consumer },
    { consumer_group = typedefs.no_consumer_group },
    { protocols = typedefs.protocols_http_ws },
    { config = {
      type = "record",
      fields = {
        { key_names = {
          type = "array", required = true, default = { "apikey" },
          elements = typedefs.header_name,
          description = "Names under which a key may come, tried in this order.",
        } },
        { hide_credentials = {
          type = "boolean", required = true, default = true,
          description = "Take the key off the request before it goes upstream.",
        } },
        { anonymous = {
          type = "string",
          description = "Id or username of the consumer that a request without a valid key runs as.",
        } },
        { key_in_header = {
          type = "boolean", required = true, default = true,
          description = "Look in the request headers.",
        } },
        { key_in_query = {
          type = "boolean", required = true, default = true,
          description = "Look in the query string.",
        } },
        { key_in_body = {
          type = "boolean", required = true, default = false,
          description = "Look in a JSON or form body; the body is then read before the upstream gets it.",
        } },
        { run_on_preflight = {
          type = "boolean", required = true, default = true,
          description = "Ask OPTIONS requests for a key too.",
        } },
        { realm = {
          type = "string",
          description = "Realm named in WWW-Authenticate.",
        } },
        { identity_realms = {
          type = "array",
          elements = { type = "record", fields = {
            { scope = { type = "string", one_of = { "cp", "realm" }, default = "cp",
              description = "Where the realm lives." } },
            { id = { type = "string", description = "The realm's id." } },
            { region = { type = "string", description = "The realm's region." } },
          } },
          description = "Accepted for files written for Konnect; keys are looked up in this configuration only.",
        } },
      },
    } },
  },
}
