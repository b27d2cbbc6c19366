-- The entities of the probe's own, as plugins for Kong declare them. For spec/e2e/pdk_spec.lua.
local typedefs = require("kong.db.schema.typedefs")

return {
  {
    name = "probe_tokens",
    primary_key = { "id" },
    endpoint_key = "token",
    cache_key = { "token" },
    workspaceable = true,
    admin_api_name = "probe-tokens",
    fields = {
      { id = typedefs.uuid },
      { created_at = typedefs.auto_timestamp_s },
      { consumer = { type = "foreign", reference = "consumers", required = true, on_delete = "cascade" } },
      { token = { type = "string", required = true, unique = true } },
      { uses = { type = "integer", default = 5, gt = 0 } },
    },
  },
}
