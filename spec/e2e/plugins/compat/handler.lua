-- Tells its configuration; runs the Lua of a request's body and answers with what it returned, as JSON. For
-- spec/e2e/compat_spec.lua.

local pack = require("kong.tools.table").pack

local Compat = { PRIORITY = 1, VERSION = "1.0.0" }

function Compat:access(conf)
  local code = kong.request.get_raw_body()
  if not code or code == "" then
    return kong.response.exit(200, { conf = conf })
  end
  local results = pack(pcall(assert(loadstring(code, "=code"))))
  for i = 1, results.n do
    results[i] = results[i] == nil and ngx.null or results[i]
  end
  return kong.response.exit(results[1] and 200 or 500, { results = { unpack(results, 2, results.n) } })
end

return Compat
