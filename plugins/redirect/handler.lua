-- redirect: sends clients to another URL, with the path they asked for where that is wished.

local request = require "moongate.abi.request"
local response = require "moongate.abi.response"

local kong = kong
local match = string.match

local Redirect = {
  PRIORITY = 779,
  VERSION = "3.14.0",
}

-- The location's scheme and host with the path and query of the request, as they came.
local function with_request_path(location)
  local origin, rest = match(location, "^(%a[%w+.-]*://[^/?#]*)(.*)$")
  local query, fragment = request.query(), match(rest, "#.*$") or ""
  return origin .. request.raw_path() .. (query and query ~= "" and "?" .. query or "") .. fragment
end

function Redirect:access(conf)
  response.set_header("Location", conf.keep_incoming_path and with_request_path(conf.location) or conf.location)
  return kong.response.exit(conf.status_code, "redirecting")
end

return Redirect
