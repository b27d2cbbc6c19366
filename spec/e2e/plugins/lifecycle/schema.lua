-- Configuration of the lifecycle plugin. For spec/e2e/plugin_interface_spec.lua.
return { name = "lifecycle", fields = { { config = { type = "record", fields = {
  { mark = { type = "string", required = true } },
  { methods = { type = "set", elements = { type = "string" }, default = { "GET", "PUT" } } },
} } } } }
