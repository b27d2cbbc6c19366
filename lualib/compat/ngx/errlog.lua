-- The name guests know: require "ngx.errlog". The log's lines are not kept for reading back.

local node = require "moongate.abi.node"

local function unsupported()
  return nil, "the error log is not captured by this gateway"
end

return {
  raw_log = function(level, text)
    node.log(level, text)
  end,
  get_sys_filter_level = function()
    return 8
  end,
  set_filter_level = unsupported,
  get_logs = unsupported,
}
