-- The name guests know: require "ngx.balancer". No Lua runs while a peer is chosen.

local missing = require "moongate.ngx.missing"

return missing.module("ngx.balancer",
  "set_current_peer set_more_tries get_last_failure set_timeouts recreate_request "
    .. "enable_keepalive bind_to_local_addr set_upstream_tls",
  "use kong.service.set_target, set_retries and set_timeouts before the request goes upstream")
