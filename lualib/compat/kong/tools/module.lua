-- The name guests know: require "kong.tools.module": loading what may not be there.

local _M = {}

--- true and the module, or false and why it is not there. What fails while it loads is raised.
function _M.load_module_if_exists(name)
  local ok, result = pcall(require, name)
  if ok then
    return true, result
  elseif type(result) == "string" and result:find("module '" .. name .. "' not found", 1, true) then
    return false, result
  end
  error("error loading module '" .. name .. "':\n" .. tostring(result), 2)
end

return _M
