-- The name guests know: require "kong.llm.plugin.shared-filters.enable-buffering": the whole answer before its filters.

local kong = require("moongate.pdk")
local ngx = require("moongate.ngx")

local _M = { NAME = "enable-buffering", STAGE = "REQ_INTROSPECTION", DESCRIPTION = "buffers an answer that is no stream" }

local get_global = require("kong.llm.plugin.ctx").get_global_accessors(_M.NAME)

function _M.run()
  if ngx.get_phase() == "access" and not get_global("stream_mode") then
    kong.service.request.enable_buffering()
  end
  return true
end

return _M
