-- Configuration of request-validator: Kong 3.14's fields, defaults and checks.

local json = require "moongate.pdk.json"
local jsonschema = require "moongate.jsonschema"
local parameters = require "moongate.jsonschema.parameters"
local Schema = require "moongate.schema"
local typedefs = require "moongate.schema.typedefs"

local function given(value)
  return value ~= nil and value ~= json.null
end

local function check_json_schema(text)
  local ok, err = jsonschema.compile(text)
  if not ok then
    return nil, "not a valid JSON schema: " .. err
  end
  return true
end

local function check_kong_schema(text)
  local fields, err = json.decode(text)
  if type(fields) ~= "table" then
    return nil, "failed decoding schema: " .. tostring(err or "not an array of fields")
  elseif fields[1] == nil then
    return nil, "schema violation: an array of fields is expected"
  end
  local ok, why = Schema.new({ name = "body", fields = fields })
  if not ok then
    return nil, "schema violation: " .. tostring(why)
  end
  return true
end

local function check_body(config)
  if not given(config.body_schema) then
    return true
  elseif config.version == "kong" then
    return check_kong_schema(config.body_schema)
  end
  return check_json_schema(config.body_schema)
end

local function check_style(parameter)
  local where, style = parameter["in"], parameter.style
  if given(style) and given(where) and not parameters.STYLES[where][style] then
    return nil, ("style '%s' not supported '%s' parameter"):format(style, where)
  elseif given(parameter.schema) and not given(style) then
    return nil, "all or none of these fields must be set: 'style', 'explode', 'schema'"
  end
  return true
end

return {
  name = "request-validator",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { body_schema = { type = "string",
          description = "Schema of JSON bodies: an array of Kong's fields, or a JSON schema." } },
        { version = { type = "string", required = true, default = "kong", one_of = { "kong", "draft4" },
          description = "What body_schema is written in." } },
        { allowed_content_types = { type = "set", default = { "application/json" },
          elements = { type = "string", required = true, match = "^[^%s]+/[^;%s]+[ ;]*.*$" },
          description = "Media types of bodies that pass; only JSON is validated. Type and subtype may be *." } },
        { content_type_parameter_validation = { type = "boolean", required = true, default = true,
          description = "Compare the parameters of media types, such as charset, too." } },
        { parameter_schema = { type = "array", description = "What parameters must be.",
          elements = {
            type = "record", description = "One parameter.",
            fields = {
              { ["in"] = { type = "string", required = true, one_of = { "query", "header", "path" },
                description = "Where it is." } },
              { name = { type = "string", required = true,
                description = "Its name; in paths, of the route's named capture." } },
              { required = { type = "boolean", required = true, description = "Must it be there?" } },
              { style = { type = "string",
                one_of = { "label", "form", "matrix", "simple", "spaceDelimited", "pipeDelimited", "deepObject" },
                description = "How arrays and objects are written." } },
              { explode = { type = "boolean", description = "Are their parts written apart?" } },
              { schema = { type = "string", custom_validator = check_json_schema,
                description = "JSON schema of its value." } },
            },
            entity_checks = { { custom_entity_check = {
              field_sources = { "in", "style", "schema" },
              fn = check_style,
            } } },
          },
        } },
        { verbose_response = { type = "boolean", required = true, default = false,
          description = "Tell clients what is wrong." } },
      },
    } },
  },
  entity_checks = {
    { at_least_one_of = { "config.body_schema", "config.parameter_schema" } },
    { custom_entity_check = {
      field_sources = { "config" },
      fn = function(entity)
        return check_body(entity.config)
      end,
    } },
  },
}
