return {
  name = "probe",
  fields = {
    { config = {
      type = "record",
      fields = {
        { strict = { type = "boolean", default = true } },
        { rewrite = { type = "boolean", default = false } },
        { sleep_in_log = { type = "boolean", default = false } },
      },
    } },
  },
}
