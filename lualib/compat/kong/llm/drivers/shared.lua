-- The name guests know: require "kong.llm.drivers.shared". Providers are lualib/ai's: what is here is what plugins use.

local _M = {}

--- The identity that a configuration has at a cloud: none, credentials are the configuration's.
function _M.cloud_identity_function()
  return nil
end

return _M
