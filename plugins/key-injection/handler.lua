-- key-injection: puts the upstream's credential on the request and takes the client's own off, so that
-- keys stay with the gateway. For LLM providers ai-proxy does this itself.
-- Invariant: the injected value is never logged and never goes back to the client; a request either
-- gets it or is refused.

local client_credentials = require "moongate.auth.client_credentials"
local crypto = require "moongate.abi.crypto"
local exchange = require "moongate.abi.exchange"
local json_encode = require "moongate.util.json_encode"
local query = require "moongate.util.query"
local request = require "moongate.abi.request"

local kong = kong

local NO_TOKEN = "the upstream's credential cannot be had now"

local KeyInjection = {
  PRIORITY = 1, -- after every plugin that may need, log or echo what the client sent
  VERSION = "1.0.0",
}

-- Raises when the credential is not there, as after a reference to a secret that nobody has set.
local function check_secret(value, field)
  if value == nil or value == "" then
    error("key-injection: config." .. field .. " is empty: the request is not sent without it")
  end
end

-- Header ------------------------------------------------------------------------------------------

-- Each: the whole value of the header, or nil when it cannot be had now (logged).
local function fixed_value(conf)
  check_secret(conf.header_value, "header_value")
  return conf.header_value
end

local function basic_value(conf)
  check_secret(conf.basic.username, "basic.username")
  check_secret(conf.basic.password, "basic.password")
  return "Basic " .. crypto.encode_base64(conf.basic.username .. ":" .. conf.basic.password)
end

local function oauth2_value(conf)
  check_secret(conf.oauth2.client_id, "oauth2.client_id")
  check_secret(conf.oauth2.client_secret, "oauth2.client_secret")
  local token, err = client_credentials.token(conf.oauth2)
  if not token then
    kong.log.info("a request goes without its token and is refused: ", err)
    return nil
  end
  return "Bearer " .. token
end

-- The header that carries the credential, and what makes its value; nil when a parameter does.
local function header_of(conf)
  if conf.oauth2 then
    return "Authorization", oauth2_value
  elseif conf.basic then
    return "Authorization", basic_value
  end
  return conf.header_name, fixed_value
end

local function put_header(name, value)
  if not request.set_header(name, value) then
    error("key-injection: config.header_value holds a byte that a header field cannot hold")
  end
end

local function take_off_headers(conf)
  local names = conf.remove_headers
  for i = 1, #names do
    request.clear_header(names[i])
  end
end

-- Query -------------------------------------------------------------------------------------------

local function change_query(conf)
  local before = exchange.query()
  local after, names = before or "", conf.remove_query
  local in_query = conf.param_location == "query"
  local kept = in_query and conf.allow_override and query.value(before, conf.param_name)
  for i = 1, #names do
    if not (kept and names[i] == conf.param_name) then
      after = query.without(after, names[i])
    end
  end
  if in_query and not kept then
    check_secret(conf.param_value, "param_value")
    after = query.with(query.without(after, conf.param_name), conf.param_name, conf.param_value)
  end
  if after ~= (before or "") then
    exchange.set_query(after)
  end
end

-- Body --------------------------------------------------------------------------------------------

local function refuse_body(status, why)
  return kong.response.error(status, "request body cannot carry the upstream's credential: " .. why)
end

local function is_json(content_type)
  return content_type == nil or content_type:lower():find("^%s*application/[%w.+-]*json") ~= nil
end

local function put_in_body(conf)
  check_secret(conf.param_value, "param_value")
  if not is_json(request.header("Content-Type")) then
    return refuse_body(415, "it must be JSON (Content-Type: application/json)")
  end
  local ok, err = exchange.read_body()
  if not ok then
    return refuse_body(err == "too large" and 413 or 400, err)
  end
  ok, err = exchange.json_open()
  if not ok then
    return refuse_body(400, "it must be a JSON object: " .. err)
  end
  if conf.allow_override and exchange.json_type(conf.param_name) then
    return
  end
  ok, err = exchange.json_set(conf.param_name, json_encode.encode(conf.param_value))
  if not ok then
    error("key-injection: cannot set " .. conf.param_name .. " in the request body: " .. err)
  end
end

function KeyInjection:access(conf)
  local name, make_value = header_of(conf)
  local value = name and conf.allow_override and request.header(name)
  if name and not value then
    value = make_value(conf)
    if not value then
      return kong.response.error(503, NO_TOKEN)
    end
  end
  take_off_headers(conf)
  if name then
    put_header(name, value)
  end
  change_query(conf)
  if conf.param_location == "body" then
    return put_in_body(conf)
  end
end

return KeyInjection
