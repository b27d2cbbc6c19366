-- Configuration of the guest: none. For spec/e2e/guest_plugin_spec.lua.
local typedefs = require("kong.db.schema.typedefs")

return {
  name = "guest",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = { type = "record", fields = {} } },
  },
}
