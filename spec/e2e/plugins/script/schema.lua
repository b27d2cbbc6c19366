-- Configuration of the script plugin: none.
return {
  name = "script",
  fields = {
    { config = { type = "record", fields = {} } },
  },
}
