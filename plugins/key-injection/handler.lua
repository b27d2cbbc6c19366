-- key-injection: puts the upstream's credential on the request and takes the client's own off, so that
-- keys stay with the gateway. For LLM providers ai-proxy does this itself.
-- Invariant: the injected value is never logged and never goes back to the client.

local exchange = require "moongate.abi.exchange"
local json_encode = require "moongate.util.json_encode"
local request = require "moongate.abi.request"

local kong = kong

local KeyInjection = {
  PRIORITY = 769, -- after authentication and limits, which may need what the client sent
  VERSION = "1.0.0",
}

local function take_off(conf)
  for _, name in ipairs(conf.remove_headers) do
    request.clear_header(name)
  end
  local query = request.query()
  if not query or query == "" then
    return
  end
  for _, name in ipairs(conf.remove_query) do
    if query:find(name, 1, true) then
      kong.service.request.clear_query_arg(name)
    end
  end
end

local function into_query(conf)
  local args = kong.request.get_query()
  args[conf.param_name] = conf.param_value
  for _, name in ipairs(conf.remove_query) do
    if name ~= conf.param_name then
      args[name] = nil
    end
  end
  kong.service.request.set_query(args)
end

local function into_body(conf)
  local ok, err = exchange.read_body()
  if ok then
    ok, err = exchange.json_open()
  end
  if not ok then
    return kong.response.error(400, "request body cannot take the upstream's credential: " .. err)
  end
  if not (conf.allow_override and exchange.json_type(conf.param_name)) then
    exchange.json_set(conf.param_name, json_encode.encode(conf.param_value))
  end
end

function KeyInjection:access(conf)
  local kept = conf.allow_override and conf.header_name and request.header(conf.header_name)
  local kept_arg = conf.allow_override and conf.param_location == "query"
    and kong.request.get_query_arg(conf.param_name)
  take_off(conf)
  if conf.header_name then
    request.set_header(conf.header_name, kept or conf.header_value)
  end
  if conf.param_location == "query" and not kept_arg then
    into_query(conf)
  elseif conf.param_location == "body" then
    return into_body(conf)
  end
end

return KeyInjection
