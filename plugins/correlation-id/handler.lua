-- correlation-id: gives each request an id in a header that the upstream, and on wish the client, sees.
-- An id that the client sent is kept.
-- Not the gateway's own request id (X-Kong-Request-Id), which nobody else can choose.

local node = require "moongate.abi.node"
local request = require "moongate.abi.request"

local kong = kong
local format = string.format

local CorrelationId = {
  PRIORITY = 100001,
  VERSION = "3.14.0",
}

-- Of this worker: the first part of its ids, and how many it has made.
local worker_uuid, counter

local GENERATORS = {
  uuid = node.uuid,
  ["uuid#counter"] = function()
    worker_uuid = worker_uuid or node.uuid()
    counter = (counter or 0) + 1
    return format("%s#%d", worker_uuid, counter)
  end,
  -- As nginx's variables name a request: ip-port-pid-connection-requests-time. Where Kong counts
  -- connections, the client's port tells them apart.
  tracker = function()
    return format("%s-%d-%d-%d-%d-%0.3f", request.server_addr(), request.server_port(), node.worker_pid(),
      request.client_port(), request.connection_requests() or 1, node.now())
  end,
}

local function find_or_make(conf)
  local id = request.header(conf.header_name)
  if id and id ~= "" then
    return id
  end
  return GENERATORS[conf.generator](), true
end

function CorrelationId:access(conf)
  local id, is_new = find_or_make(conf)
  if is_new then
    request.set_header(conf.header_name, id)
  end
  kong.log.set_serialize_value("correlation_id", id)
  if conf.echo_downstream then
    local own = kong.ctx.plugin
    own.id = id
  end
end

-- Answers of the gateway's own (no route, a refusal before access) bear an id as well.
function CorrelationId:header_filter(conf)
  if conf.echo_downstream then
    kong.response.set_header(conf.header_name, kong.ctx.plugin.id or (find_or_make(conf)))
  end
end

return CorrelationId
