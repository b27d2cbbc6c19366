-- The name guests know: require "kong.workspaces". There is one workspace, the default one.

local NAME = "default"

local _M = {}

function _M.get_workspace()
  return { id = kong.default_workspace, name = NAME }
end

function _M.get_workspace_id()
  return kong.default_workspace
end

function _M.get_workspace_name()
  return NAME
end

function _M.set_workspace() end

_M.upsert_default = _M.get_workspace

return _M
