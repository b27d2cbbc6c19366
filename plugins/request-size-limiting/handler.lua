-- request-size-limiting: refuses requests with large bodies, by their declared length; a body without
-- one is read first, no further than the limit, or, when that is large, cut off on its way.
-- Not the node's own limit of what it buffers (setting body_max_bytes).

local exchange = require "moongate.abi.exchange"
local node = require "moongate.abi.node"
local request = require "moongate.abi.request"

local kong = kong
local max, lower = math.max, string.lower

local UNIT_BYTES = { bytes = 1, kilobytes = 2 ^ 10, megabytes = 2 ^ 20 }
local TOO_LARGE = "Request size limit exceeded"
local NO_LENGTH = "A valid Content-Length header is required"

local RequestSizeLimiting = {
  PRIORITY = 951,
  VERSION = "3.14.0",
}

-- A client that asked first is told that it need not send the body.
local function refuse()
  local expect = request.header("Expect")
  local asked = expect and lower(expect):match("^%s*100%-continue%s*$")
  return kong.response.error(asked and 417 or 413, TOO_LARGE)
end

-- A body of unknown length: read where the node would hold that much, else stopped on its way.
local function check_chunked(limit)
  if limit < 1 or limit > (node.setting("body_buffer_max_bytes") or 0) then
    if not exchange.limit_body(max(limit, 1)) then
      return refuse()
    end
    return
  end
  local ok, err = exchange.read_body(limit)
  if not ok and err == "too large" then
    return refuse()
  elseif not ok then
    return kong.response.error(400, "Cannot read the request body: " .. tostring(err))
  end
end

function RequestSizeLimiting:access(conf)
  local limit = conf.allowed_payload_size * UNIT_BYTES[conf.size_unit]
  local declared = request.content_length()
  if not declared then
    return check_chunked(limit)
  elseif declared > limit then
    return refuse()
  elseif conf.require_content_length and not request.header("Content-Length") then
    return kong.response.error(411, NO_LENGTH)
  end
end

return RequestSizeLimiting
