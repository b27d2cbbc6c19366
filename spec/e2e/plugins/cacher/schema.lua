-- Configuration of the cacher: none. For spec/e2e/cache_spec.lua.
return { name = "cacher", fields = { { config = { type = "record", fields = {} } } } }
