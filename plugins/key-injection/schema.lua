-- Configuration of key-injection: which credential the upstream gets, and which of the client's it does not.

local typedefs = require "moongate.schema.typedefs"

local function secret(name, description)
  return { [name] = { type = "string", referenceable = true, encrypted = true,
    description = description } }
end

return {
  name = "key-injection",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { header_name = typedefs.header_name {
          description = "Header that carries the credential upstream." } },
        secret("header_value", "Its whole value, such as \"Bearer sk-...\"."),
        { param_name = { type = "string", match = "^[%w%._~$-]+$",
          err = "may hold letters, digits and . _ ~ $ - only",
          description = "Parameter that carries the credential." } },
        secret("param_value", "Its value."),
        { param_location = { type = "string", one_of = { "query", "body" },
          description = "Where the parameter goes: the query string, or the top level of a JSON body." } },
        { allow_override = { type = "boolean", required = true, default = false,
          description = "Keep a credential that the client sent under the same name." } },
        { remove_headers = { type = "array", required = true, elements = typedefs.header_name,
          default = { "Authorization", "Proxy-Authorization", "apikey", "api-key", "x-api-key",
            "x-goog-api-key" },
          description = "The client's own credentials, taken off before the injected one is put on." } },
        { remove_query = { type = "array", required = true, elements = { type = "string" },
          default = { "apikey", "api_key", "api-key", "key" },
          description = "Query arguments taken off likewise." } },
      },
    } },
  },
  entity_checks = {
    { at_least_one_of = { "config.header_name", "config.param_name" } },
    { mutually_required = { "config.header_name", "config.header_value" } },
    { mutually_required = { "config.param_name", "config.param_value", "config.param_location" } },
  },
}
