-- Sends requests to a port where nobody listens, and names another target for the next attempt.
-- For spec/e2e/plugin_interface_spec.lua.   X-Retry: good, none, raise

local Retrier = { PRIORITY = 1, VERSION = "1.0.0" }

function Retrier:access(conf)
  local wanted = kong.request.get_header("X-Retry")
  if not wanted then
    return
  end
  local asked = 0
  kong.service.set_target("127.0.0.1", 1)
  kong.service.set_retries(3)
  kong.service.set_target_retry_callback(function()
    asked = asked + 1
    if wanted == "none" then
      return nil, "nobody is left"
    elseif wanted == "raise" then
      error("bang")
    elseif asked < 2 then
      return "127.0.0.1", 1
    end
    return "127.0.0.1", conf.port
  end)
end

return Retrier
