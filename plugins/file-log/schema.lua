-- Configuration of file-log: Kong's fields and defaults.

local typedefs = require "moongate.schema.typedefs"

return {
  name = "file-log",
  fields = {
    { protocols = typedefs.protocols },
    { consumer_group = typedefs.no_consumer_group },
    { config = {
      type = "record",
      fields = {
        { path = {
          type = "string", required = true, match = [[^[^*&%%\`]+$]], err = "not a valid filename",
          description = "The file to append to; made when it does not exist, in a directory that does.",
        } },
        { reopen = {
          type = "boolean", required = true, default = false,
          description = "Make the file anew when it was moved or removed, as log rotation does.",
        } },
        { custom_fields_by_lua = typedefs.lua_code {
          description = "Lua expressions by the name of the field they set; a nil takes the field away.",
        } },
      },
    } },
  },
}
