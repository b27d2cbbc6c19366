-- The C library under our own name, for the configuration loader. See lualib/cjson.lua.

return require "cjson.safe"
