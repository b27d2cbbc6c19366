-- Configuration of request-termination: Kong's fields and checks.

local typedefs = require "moongate.schema.typedefs"

local function given(value)
  return value ~= nil and value ~= require("cjson").null
end

local function check(config)
  local raw = given(config.body) or given(config.content_type)
  if given(config.message) and raw then
    return nil, "message cannot be used with content_type or body"
  elseif given(config.content_type) and not given(config.body) then
    return nil, "content_type requires a body"
  elseif config.echo == true and raw then
    return nil, "echo cannot be used with content_type and body"
  end
  return true
end

return {
  name = "request-termination",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { status_code = { type = "integer", required = true, default = 503, between = { 100, 599 },
          description = "Status of the answer." } },
        { message = { type = "string", description = "Text of the JSON answer." } },
        { content_type = { type = "string", description = "Media type of `body`." } },
        { body = { type = "string", description = "The whole body of the answer." } },
        { echo = { type = "boolean", required = true, default = false,
          description = "Answer with a copy of the request." } },
        { trigger = typedefs.header_name {
          description = "Terminate only requests with this header or query argument." } },
      },
    } },
  },
  entity_checks = {
    { custom_entity_check = {
      field_sources = { "config" },
      fn = function(entity)
        return check(entity.config)
      end,
    } },
  },
}
