-- What metrics plugins tell of a finished request: sizes, latencies, and names of who took part.
-- Phase: log. Not counted here, nor sent.

local exchange = require "moongate.abi.exchange"
local request = require "moongate.abi.request"
local response = require "moongate.abi.response"
local route = require "moongate.abi.route"

local _M = {}

local WORKSPACE = { workspace_id = "default", workspace_name = "default" }

-- {status, request_size, response_size, latency, upstream_latency, kong_latency (ms; nil: unknown), route, service, consumer}.
function _M.take()
  local kong_ms, upstream_ms, request_ms = exchange.latencies()
  return {
    status = response.status() or 0,
    request_size = request.bytes_in() or 0,
    response_size = response.bytes_out() or 0,
    latency = request_ms, upstream_latency = upstream_ms, kong_latency = kong_ms,
    route = route.route(), service = route.service(), consumer = route.consumer(),
  }
end

-- The consumer's name by `kind`: consumer_id, custom_id, username; nil when there is none.
function _M.consumer(sample, kind)
  local consumer = sample.consumer
  if not consumer then
    return nil
  elseif kind == "consumer_id" then
    return consumer.id
  end
  return consumer[kind]
end

-- The service's name by `kind`: service_id, service_name, service_host, service_name_or_host.
function _M.service(sample, kind)
  local service = sample.service
  if not service then
    return nil
  elseif kind == "service_id" then
    return service.id
  elseif kind == "service_name" then
    return service.name
  elseif kind == "service_host" then
    return service.host
  end
  return service.name or service.host
end

function _M.workspace(kind)
  return WORKSPACE[kind]
end

return _M
