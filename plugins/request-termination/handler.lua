-- request-termination: answers requests itself, with a fixed status and message or body.

local kong = kong

local DEFAULT_MESSAGES = {
  [401] = "Unauthorized",
  [404] = "Not found",
  [405] = "Method not allowed",
  [500] = "An unexpected error occurred",
  [502] = "Bad Gateway",
  [503] = "Service unavailable",
}

local RequestTermination = {
  PRIORITY = 2,
  VERSION = "3.14.0",
}

local function is_triggered(name)
  return kong.request.get_header(name) ~= nil or kong.request.get_query_arg(name) ~= nil
end

local function echo(conf, status)
  local captures = kong.request.get_uri_captures()
  return kong.response.exit(status, {
    message = conf.message or DEFAULT_MESSAGES[status],
    kong = {
      node_id = kong.node.get_id(),
      worker_pid = ngx.worker.pid(),
      hostname = kong.node.get_hostname(),
    },
    request = {
      scheme = kong.request.get_scheme(),
      host = kong.request.get_host(),
      port = kong.request.get_port(),
      headers = kong.request.get_headers(),
      query = kong.request.get_query(),
      body = kong.request.get_body(),
      raw_body = kong.request.get_raw_body(),
      method = kong.request.get_method(),
      path = kong.request.get_path(),
      uri_captures = captures and { named = captures.named, unnamed = captures.unnamed } or nil,
    },
    matched_route = kong.router.get_route(),
    matched_service = kong.router.get_service(),
  })
end

function RequestTermination:access(conf)
  if conf.trigger and not is_triggered(conf.trigger) then
    return
  end
  local status = conf.status_code
  if conf.echo then
    return echo(conf, status)
  elseif conf.body then
    return kong.response.exit(status, conf.body, {
      ["Content-Type"] = conf.content_type or "application/json; charset=utf-8",
    })
  end
  return kong.response.exit(status, { message = conf.message or DEFAULT_MESSAGES[status] })
end

return RequestTermination
