-- Runs the Lua text of a request's body in access and answers with what it returns, as a JSON array; for
-- spec/e2e/support/script.lua. A body-less request, or one with X-Script: stay, is left alone (the text may answer itself).

local cjson = require("cjson")

local Script = { PRIORITY = 1, VERSION = "1.0.0" }

local function wrapped(ok, ...)
  if not ok then
    return { error = tostring((...)) }
  end
  local values = setmetatable({}, cjson.array_mt)
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    local kind = type(value)
    values[i] = (kind == "function" or kind == "userdata" or value == nil) and cjson.null or value
  end
  return { values = values }
end

function Script:access()
  local name = kong.request.get_header("X-Script-Name")
  local text = name and ngx.unescape_uri(kong.request.get_header("X-Script")) or kong.request.get_raw_body()
  if not text or text == "" then
    return nil
  end
  local fn = assert(loadstring(text, "=script"))
  if name then
    return fn()
  end
  return kong.response.exit(200, wrapped(xpcall(fn, debug.traceback)))
end

return Script
