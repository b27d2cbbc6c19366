-- Declares header_filter optional and asks for it when the request has a header; marks the response
-- phase. For the bridge's tests.

local exchange = require "moongate.abi.exchange"
local request = require "moongate.abi.request"
local response = require "moongate.abi.response"

local wanting = { PRIORITY = 20, VERSION = "1.0.0", OPTIONAL = { header_filter = true } }

function wanting.access()
  if request.header("X-Want") then
    exchange.want("header_filter")
  end
end

function wanting.header_filter()
  response.set_header("X-Filtered", "yes")
end

function wanting.response()
  local body = response.collected()
  if body == "leave" then
    response.exit(503, "left")
  end
  response.set_collected(body:upper())
end

return wanting
