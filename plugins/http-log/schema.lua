-- Configuration of http-log: Kong 3.14's fields, defaults and checks.

local typedefs = require "moongate.schema.typedefs"

-- Names of fields that the plugin writes itself.
local function refused(name)
  return { pattern = "^" .. name:gsub("%a", function(c)
    return "[" .. c:upper() .. c:lower() .. "]"
  end):gsub("%-", "%%-") .. "$", err = "cannot contain '" .. name .. "' header" }
end

local function check_authorization(config)
  local headers, url = config.headers, config.http_endpoint
  if type(headers) ~= "table" or type(url) ~= "string" or not url:find("^%a+://[^/?#]*@") then
    return true
  end
  for name in pairs(headers) do
    if name:lower() == "authorization" then
      return nil, "specifying both an 'Authorization' header and user info in 'http_endpoint' is not allowed"
    end
  end
  return true
end

return {
  name = "http-log",
  fields = {
    { protocols = typedefs.protocols },
    { consumer_group = typedefs.no_consumer_group },
    { config = {
      type = "record",
      fields = {
        { http_endpoint = typedefs.url { required = true, referenceable = true, encrypted = true,
          description = "Where records are sent; user:password in it become Basic credentials." } },
        { method = { type = "string", default = "POST", one_of = { "POST", "PUT", "PATCH" },
          description = "The method of these requests." } },
        { content_type = { type = "string", default = "application/json",
          one_of = { "application/json", "application/json; charset=utf-8" },
          description = "Their Content-Type." } },
        { timeout = { type = "number", default = 10000,
          description = "Milliseconds for one request, its response included." } },
        { keepalive = { type = "number", default = 60000,
          description = "Milliseconds an idle connection is kept." } },
        { ssl_verify = { type = "boolean", default = true,
          description = "Verify the server's certificate." } },
        { retry_count = { type = "integer",
          description = "Older setting without effect: see queue.max_retry_time." } },
        { queue_size = { type = "integer", description = "Older name of queue.max_batch_size." } },
        { flush_timeout = { type = "number", description = "Older name of queue.max_coalescing_delay." } },
        { headers = { type = "map", description = "Further fields of the requests.",
          keys = typedefs.header_name {
            match_none = { refused("Host"), refused("Content-Length"), refused("Content-Type") } },
          values = { type = "string", referenceable = true } } },
        { queue = typedefs.queue },
        { custom_fields_by_lua = typedefs.lua_code {
          description = "Lua expressions by the name of the field they set; a nil takes the field away.",
        } },
      },
      entity_checks = {
        { custom_entity_check = {
          field_sources = { "http_endpoint", "headers" }, fn = check_authorization } },
      },
    } },
  },
}
