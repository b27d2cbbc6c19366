-- kong.cluster: there is none; each node has its configuration from files.

local _M = {}

--- The cluster's id: nil and why, as on any node without a database. All phases.
function _M.get_id()
  return nil, "no cluster: this node reads its configuration from files"
end

return _M
