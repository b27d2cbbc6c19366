-- Configuration of key-injection: which credential the upstream gets, and which of the client's it does not.

local typedefs = require "moongate.schema.typedefs"

local function secret(name, description)
  return { [name] = { type = "string", referenceable = true, encrypted = true,
    description = description } }
end

local basic = { basic = { type = "record", required = false,
  description = "A user of the upstream: Authorization: Basic ... is sent.",
  fields = {
    { username = { type = "string", required = true, referenceable = true, not_match = ":",
      err = "may hold no colon", description = "Name of the user." } },
    { password = { type = "string", required = true, referenceable = true, encrypted = true,
      description = "Password of the user." } },
  },
} }

local oauth2 = { oauth2 = { type = "record", required = false,
  description = "An OAuth 2.0 client: Authorization: Bearer ... is sent, with a token got by its credentials.",
  fields = {
    { token_url = typedefs.url { required = true, referenceable = true,
      description = "The token endpoint of the authorization server." } },
    { client_id = { type = "string", required = true, referenceable = true, description = "Id of the client." } },
    { client_secret = { type = "string", required = true, referenceable = true, encrypted = true,
      description = "Secret of the client." } },
    { scope = { type = "string", description = "Scopes to ask for, with spaces between them." } },
    { audience = { type = "string", description = "Audience to ask for, where the server wants one." } },
    { auth_method = { type = "string", default = "client_secret_basic",
      one_of = { "client_secret_basic", "client_secret_post" },
      description = "How the client shows its secret: in Authorization, or in the form." } },
    { timeout = typedefs.timeout { default = 5000, description = "Of the request for a token, ms." } },
    { ssl_verify = { type = "boolean", required = true, default = true,
      description = "Verify the token server's certificate." } },
  },
} }

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
        basic, oauth2,
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
    { at_least_one_of = { "config.header_name", "config.param_name", "config.basic", "config.oauth2" } },
    { mutually_exclusive = { "config.header_name", "config.basic", "config.oauth2" } },
    { mutually_required = { "config.header_name", "config.header_value" } },
    { mutually_required = { "config.param_name", "config.param_value", "config.param_location" } },
  },
}
