-- The name guests know: require "kong.tools.uuid".

local node = require("moongate.abi.node")

local _M = {}

--- A random uuid (version 4).
function _M.uuid()
  return node.uuid()
end

_M.generate_v4 = _M.uuid

--- Is the text a uuid? Case does not count.
function _M.is_valid_uuid(text)
  return type(text) == "string" and #text == 36
    and text:find("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$") ~= nil
end

return _M
