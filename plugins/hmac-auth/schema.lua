-- Configuration of hmac-auth: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

local ALGORITHMS = { "hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512" }

return {
  name = "hmac-auth",
  fields = {
    { consumer = typedefs.no_consumer },
    { consumer_group = typedefs.no_consumer_group },
    { protocols = typedefs.protocols_http_ws },
    { config = {
      type = "record",
      fields = {
        { hide_credentials = {
          type = "boolean", required = true, default = true,
          description = "Take the credentials off the request before it goes upstream.",
        } },
        { clock_skew = {
          type = "number", required = true, default = 300, gt = 0,
          description = "Seconds by which the request's date may differ from now.",
        } },
        { anonymous = {
          type = "string",
          description = "Id or username of the consumer that a request without a valid signature runs as.",
        } },
        { validate_request_body = {
          type = "boolean", required = true, default = false,
          description = "Compare the body with the Digest header; the body is then read before the upstream gets it.",
        } },
        { enforce_headers = {
          type = "array", required = true, elements = { type = "string" }, default = {},
          description = "Header fields that must be signed.",
        } },
        { algorithms = {
          type = "array", required = true, elements = { type = "string", one_of = ALGORITHMS },
          default = { "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512" },
          description = "Algorithms that clients may use.",
        } },
        { realm = { type = "string", description = "Realm named in WWW-Authenticate." } },
      },
    } },
  },
}
