-- Configuration of mocking: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

local function check_delays(config)
  if config.random_delay == true and config.max_delay_time < config.min_delay_time then
    return nil, "max_delay_time cannot be less than min_delay_time"
  end
  return true
end

return {
  name = "mocking",
  fields = {
    { consumer_group = typedefs.no_consumer_group },
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { api_specification_filename = { type = "string",
          description = "Path of the file that holds the API specification." } },
        { api_specification = { type = "string",
          description = "The API specification itself: OpenAPI 3 or Swagger 2, YAML or JSON." } },
        { random_delay = { type = "boolean", default = false, description = "Answer after a random time." } },
        { max_delay_time = { type = "number", default = 1, between = { 0, 3600 }, description = "The longest, seconds." } },
        { min_delay_time = { type = "number", default = 0.001, between = { 0, 3600 }, description = "The shortest, seconds." } },
        { random_status_code = { type = "boolean", required = true, default = false,
          description = "Answer with any of the operation's statuses, not the lowest." } },
        { included_status_codes = { type = "array", elements = { type = "integer", between = { 100, 599 } },
          description = "Statuses to choose from." } },
        { include_base_path = { type = "boolean", required = true, default = false,
          description = "Do requests bear the base path that the specification names?" } },
        { custom_base_path = typedefs.path { description = "Base path instead of the specification's." } },
      },
    } },
  },
  entity_checks = {
    { at_least_one_of = { "config.api_specification_filename", "config.api_specification" } },
    { custom_entity_check = {
      field_sources = { "config" },
      fn = function(entity)
        return check_delays(entity.config)
      end,
    } },
  },
}
