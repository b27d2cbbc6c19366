-- YAML documents inside configurations, such as API specifications: read as a worker starts, never per request.
-- The configuration itself is read by C's loader.

local native = require("moongate.abi.c").native

local _M = {}

-- The tree of a text: null is cjson.null, lists get list_mt. nil, why.
function _M.parse(text, list_mt)
  local tree, problem = native.parse_yaml(text, list_mt)
  if tree == nil then
    return nil, (problem.line and ("line %d, column %d: "):format(problem.line, problem.column) or "") .. problem.message
  end
  return tree
end

return _M
