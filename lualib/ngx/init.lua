-- Global `ngx`, for guests: plugins and libraries written for OpenResty. Our own code uses abi.
-- This file only gathers; each part is a module that fills in its functions: fill(ngx).
-- Invariant: a name of OpenResty's that we do not have raises a clear error when it is called.

local ngx = {}

local PARTS = {
  "moongate.ngx.constants", "moongate.ngx.log", "moongate.ngx.ctx", "moongate.ngx.time",
  "moongate.ngx.codec", "moongate.ngx.output", "moongate.ngx.headers", "moongate.ngx.req",
  "moongate.ngx.var", "moongate.ngx.timer", "moongate.ngx.thread", "moongate.ngx.socket",
  "moongate.ngx.shared", "moongate.ngx.worker", "moongate.ngx.re", "moongate.ngx.missing",
}

for _, name in ipairs(PARTS) do
  require(name).fill(ngx)
end

return ngx
