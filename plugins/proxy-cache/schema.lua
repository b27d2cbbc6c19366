-- Configuration of proxy-cache: Kong 3.14's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

local function header(name, description)
  return { [name] = { type = "boolean", default = true, description = description } }
end

return {
  name = "proxy-cache",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { response_code = { type = "array", required = true, default = { 200, 301, 404 }, len_min = 1,
          elements = { type = "integer", between = { 100, 900 } },
          description = "Statuses of the upstream that are kept." } },
        { request_method = { type = "array", required = true, default = { "GET", "HEAD" },
          elements = { type = "string", one_of = { "HEAD", "GET", "POST", "PATCH", "PUT" } },
          description = "Methods whose responses are kept." } },
        { content_type = { type = "array", required = true, default = { "text/plain", "application/json" },
          elements = { type = "string" },
          description = "Media types that are kept, parameters included; type and subtype may be *." } },
        { cache_ttl = { type = "integer", default = 300, gt = 0,
          description = "How long a response is served from the cache, seconds." } },
        { strategy = { type = "string", required = true, one_of = { "memory" },
          description = "Where responses are kept: this node's shared memory." } },
        { cache_control = { type = "boolean", required = true, default = false,
          description = "Follow Cache-Control of clients and of the upstream." } },
        { ignore_uri_case = { type = "boolean", required = false, default = false,
          description = "Take paths that differ in case only for the same." } },
        { storage_ttl = { type = "integer",
          description = "How long an entry stays in memory, seconds, whatever its lifetime." } },
        { memory = { type = "record", required = true, description = "Of strategy memory.", fields = {
          { dictionary_name = { type = "string", required = true, default = "kong_db_cache",
            description = "The shared dictionary." } },
        } } },
        { vary_query_params = { type = "array", elements = { type = "string" },
          description = "Arguments of the query that take part in the key; all when none is named." } },
        { vary_headers = { type = "array", elements = { type = "string" },
          description = "Headers that take part in the key." } },
        { response_headers = { type = "record", required = true, description = "Headers for the client.", fields = {
          header("age", "Send age with what comes from the cache."),
          header("X-Cache-Status", "Send X-Cache-Status."),
          header("X-Cache-Key", "Send X-Cache-Key."),
        } } },
      },
    } },
  },
}
