-- Configuration of the retrier. For spec/e2e/plugin_interface_spec.lua.
return { name = "retrier", fields = { { config = { type = "record", fields = {
  { port = { type = "integer", required = true } },
} } } } }
