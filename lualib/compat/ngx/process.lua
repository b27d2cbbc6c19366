-- The name guests know: require "ngx.process".

return {
  type = function()
    return "worker"
  end,
  get_master_pid = function()
    return nil
  end,
  enable_privileged_agent = function()
    return nil, "there is no privileged agent in this gateway"
  end,
  signal_graceful_exit = function() end,
}
