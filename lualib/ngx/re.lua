local _M = {}
function _M.fill(_) end
return _M
