-- Configuration of the probe: none. For spec/e2e/pdk_spec.lua.
return {
  name = "probe",
  fields = {
    { config = { type = "record", fields = {} } },
  },
}
