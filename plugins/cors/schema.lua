-- Configuration of cors: Kong 3.14's fields and defaults.

local regex = require "moongate.schema.regex"
local typedefs = require "moongate.schema.typedefs"

local METHODS = { "GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT" }

local function check_origin(origin)
  if origin == "*" or regex.check(origin) then
    return true
  end
  return nil, "'" .. origin .. "' is not a valid regex"
end

local function flag(name, default, description)
  return { [name] = { type = "boolean", required = true, default = default, description = description } }
end

return {
  name = "cors",
  fields = {
    { consumer = typedefs.no_consumer },
    { consumer_group = typedefs.no_consumer_group },
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { origins = {
          type = "array", elements = { type = "string", custom_validator = check_origin },
          description = "Origins that may read responses: \"*\", an origin, a host, or a pattern (PCRE). None: all.",
        } },
        { headers = {
          type = "array", elements = { type = "string" },
          description = "Request headers that pages may use; without it, whatever the preflight asks for.",
        } },
        { exposed_headers = {
          type = "array", elements = { type = "string" },
          description = "Response headers that pages may read.",
        } },
        { methods = {
          type = "array", elements = { type = "string", one_of = METHODS }, default = METHODS,
          description = "Methods that pages may use.",
        } },
        { max_age = {
          type = "number",
          description = "Seconds for which browsers may keep the answer to a preflight.",
        } },
        flag("credentials", false, "Allow cookies and Authorization."),
        flag("private_network", false, "Allow pages of public sites to reach a private network."),
        flag("preflight_continue", false, "Leave preflights to the upstream."),
        flag("allow_origin_absent", true, "Set the headers on responses to requests without Origin too."),
      },
    } },
  },
}
