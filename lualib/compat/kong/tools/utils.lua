-- The name older guests know: require "kong.tools.utils": all of kong.tools.* in one table.

local _M = {}

for _, name in ipairs({
  "table", "string", "time", "uuid", "rand", "sha256", "uri", "ip", "mime_type", "http", "module",
}) do
  for key, value in pairs(require("kong.tools." .. name)) do
    _M[key] = value
  end
end

return _M
