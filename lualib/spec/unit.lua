local _M = {clock={release=function() end}}
function _M.plugin() end
function _M.refresh() end
return _M
