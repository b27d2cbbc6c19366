-- request-termination: answers requests itself, with a fixed status and message or body, or with a
-- copy of the request.
-- Not an error page of the gateway's own: those carry a request_id.

local node = require "moongate.abi.node"

local kong = kong

local DEFAULT_MESSAGES = {
  [401] = "Unauthorized",
  [404] = "Not found",
  [405] = "Method not allowed",
  [500] = "An unexpected error occurred",
  [502] = "Bad Gateway",
  [503] = "Service unavailable",
}
local DEFAULT_TYPE = "application/json; charset=utf-8"

local RequestTermination = {
  PRIORITY = 2,
  VERSION = "3.14.0",
}

local function is_triggered(name)
  return kong.request.get_header(name) ~= nil or kong.request.get_query_arg(name) ~= nil
end

-- The captures with text keys, as JSON needs them ("0" is the whole match).
local function captures()
  local found = kong.request.get_uri_captures()
  if not found then
    return nil
  end
  local unnamed = {}
  for i, text in pairs(found.unnamed or {}) do
    unnamed[tostring(i)] = text
  end
  return { named = found.named, unnamed = unnamed }
end

local function copy_of_request()
  return {
    scheme = kong.request.get_scheme(),
    host = kong.request.get_host(),
    port = kong.request.get_port(),
    headers = kong.request.get_headers(),
    query = kong.request.get_query(),
    body = kong.request.get_body() or nil,
    raw_body = kong.request.get_raw_body() or nil,
    method = kong.request.get_method(),
    path = kong.request.get_path(),
    uri_captures = captures(),
  }
end

local function echo(status, message)
  return kong.response.exit(status, {
    message = message,
    kong = {
      node_id = kong.node.get_id(),
      worker_pid = node.worker_pid(),
      hostname = kong.node.get_hostname(),
    },
    request = copy_of_request(),
    matched_route = kong.router.get_route(),
    matched_service = kong.router.get_service(),
  })
end

function RequestTermination:access(conf)
  if conf.trigger and not is_triggered(conf.trigger) then
    return
  end
  local status = conf.status_code
  local message = conf.message or DEFAULT_MESSAGES[status]
  if conf.echo then
    return echo(status, message)
  elseif conf.body then
    return kong.response.exit(status, conf.body, {
      ["Content-Type"] = conf.content_type or DEFAULT_TYPE,
    })
  end
  return kong.response.exit(status, message and { message = message } or nil)
end

return RequestTermination
