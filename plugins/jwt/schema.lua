-- Configuration of jwt: Kong 3.14's fields, defaults and check.

local typedefs = require "moongate.schema.typedefs"

local YEAR_S = 31536000

return {
  name = "jwt",
  fields = {
    { consumer = typedefs.no_consumer },
    { consumer_group = typedefs.no_consumer_group },
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { uri_param_names = {
          type = "set", elements = { type = "string" }, required = true, default = { "jwt" },
          description = "Query parameters that may hold the token.",
        } },
        { cookie_names = {
          type = "set", elements = { type = "string" }, required = true, default = {},
          description = "Cookies that may hold the token.",
        } },
        { header_names = {
          type = "set", elements = { type = "string" }, required = true, default = { "authorization" },
          description = "Header fields that may hold the token, as \"Bearer <token>\".",
        } },
        { key_claim_name = {
          type = "string", required = true, default = "iss",
          description = "Claim, or else member of the token's header, that names the credential by its key.",
        } },
        { secret_is_base64 = {
          type = "boolean", required = true, default = false,
          description = "Credentials' secrets are written in base64.",
        } },
        { claims_to_verify = {
          type = "set", elements = { type = "string", one_of = { "exp", "nbf" } },
          description = "Times that must be there and hold.",
        } },
        { anonymous = {
          type = "string",
          description = "Id or username of the consumer that a request without a valid token runs as.",
        } },
        { run_on_preflight = {
          type = "boolean", required = true, default = true,
          description = "Ask OPTIONS requests for a token too.",
        } },
        { maximum_expiration = {
          type = "number", required = true, between = { 0, YEAR_S }, default = 0,
          description = "Seconds for which a token may still be valid; 0: no limit.",
        } },
        { realm = { type = "string", description = "Realm named in WWW-Authenticate." } },
      },
    } },
  },
  entity_checks = {
    { conditional = {
      if_field = "config.maximum_expiration", if_match = { gt = 0 },
      then_field = "config.claims_to_verify", then_match = { required = true, contains = "exp" },
      then_err = "expected to contain: exp",
    } },
  },
}
