-- ngx.req: the client's request as plugins see and change it.

local codec = require "moongate.ngx.codec"
local exchange = require "moongate.abi.exchange"
local headers = require "moongate.ngx.headers"
local request = require "moongate.abi.request"

local _M = {}

local MINOR = { [0] = 1.0, [1] = 1.1 }
local METHOD_NUMBERS = {
  "GET", "HEAD", "POST", "PUT", "DELETE", "MKCOL", "COPY", "MOVE", "OPTIONS", "PROPFIND",
  "PROPPATCH", "LOCK", "UNLOCK", "PATCH", "TRACE",
}
local METHOD_NAMES = {}
for i, name in ipairs(METHOD_NUMBERS) do
  METHOD_NAMES[2 ^ i] = name
end

local function values_of(value)
  return type(value) == "table" and value or { value }
end

local function set_header(name, value)
  name = tostring(name)
  if value == nil or type(value) == "table" and value[1] == nil then
    request.clear_header(name)
    return
  end
  for i, inner in ipairs(values_of(value)) do
    local put = i == 1 and request.set_header or request.add_header
    put(name, headers.safe(inner))
  end
end

local function raw_header(no_request_line)
  local out = {}
  if not no_request_line then
    out[1] = ("%s %s HTTP/1.%d\r\n"):format(request.method(), request.raw_target(),
      request.http_minor())
  end
  local flat = request.headers()
  for i = 1, #flat, 2 do
    out[#out + 1] = flat[i] .. ": " .. flat[i + 1] .. "\r\n"
  end
  out[#out + 1] = "\r\n"
  return table.concat(out)
end

local function body_or_nil()
  if not exchange.body_complete() then
    return nil
  end
  local body = exchange.body_get()
  return body ~= "" and body or nil
end

-- What ngx.req.set_uri and set_uri_args changed is what get_* show afterwards.
local function query()
  return exchange.query() or ""
end

local UNSUPPORTED = {
  "init_body", "append_body", "finish_body", "set_body_file", "socket",
}

function _M.fill(ngx)
  local req = {}
  ngx.req = req

  function req.get_headers(max, raw)
    return headers.collect(request.headers, max, raw)
  end
  req.set_header = set_header
  function req.add_header(name, value)
    for _, inner in ipairs(values_of(value)) do
      request.add_header(tostring(name), headers.safe(inner))
    end
  end
  function req.clear_header(name)
    request.clear_header(tostring(name))
  end
  req.get_method = request.method
  function req.set_method(number)
    local name = METHOD_NAMES[number]
    if not name then
      error("unsupported HTTP method: " .. tostring(number), 2)
    end
    request.set_method(name)
  end
  function req.http_version()
    return MINOR[request.http_minor()]
  end
  req.start_time = request.start_time
  req.raw_header = raw_header
  function req.is_internal()
    return false
  end

  function req.get_uri_args(max)
    return codec.decode_args(query(), max)
  end
  function req.set_uri_args(args)
    exchange.set_query(type(args) == "table" and codec.encode_args(args) or tostring(args))
  end
  function req.set_uri(uri, jump)
    if jump then
      error("ngx.req.set_uri: internal redirects do not exist here", 2)
    end
    local ok, err = exchange.set_path(codec.escape_path(uri))
    if not ok then
      error(err, 2)
    end
  end

  function req.read_body()
    local ok, err = exchange.read_body()
    if not ok and err ~= "the request's body has gone on already" then
      error("cannot read the body: " .. err, 2)
    end
  end
  req.get_body_data = body_or_nil
  function req.get_body_file()
    return nil
  end
  function req.discard_body()
    exchange.body_set("")
  end
  function req.set_body_data(data)
    local ok, err = exchange.body_set(data)
    if not ok then
      error(err, 2)
    end
  end
  function req.get_post_args(max)
    local body = body_or_nil()
    if not body then
      return {}
    end
    return codec.decode_args(body, max)
  end

  for _, name in ipairs(UNSUPPORTED) do
    req[name] = function()
      error("ngx.req." .. name .. " is not supported by this gateway", 2)
    end
  end
end


return _M
