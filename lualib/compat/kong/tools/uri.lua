-- The name guests know: require "kong.tools.uri": the form in which paths are compared. Pure.

local address = require("moongate.schema.address")
local args = require("moongate.pdk.args")

local _M = {}

--- The normalised path (RFC 3986, 6.2.2): good triplets decoded, dot segments and empty ones removed.
function _M.normalize(path)
  return address.normalise_path(path)
end

--- Bytes that may not stand in a URI as triplets; those that are triplets stay.
function _M.escape(uri)
  return (uri:gsub("[^%w%-._~:/?#%[%]@!$&'()*+,;=%%]", function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

function _M.unescape(uri)
  return args.unescape((uri:gsub("%+", "%%2B")))
end

return _M
