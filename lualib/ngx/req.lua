-- ngx.req: the client's request as plugins see and change it.

local codec = require "moongate.ngx.codec"
local exchange = require "moongate.abi.exchange"
local headers = require "moongate.ngx.headers"
local req_socket = require "moongate.ngx.req_socket"
local request = require "moongate.abi.request"
local task = require "moongate.abi.task"

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

local BUILDING = {} -- key of the pieces of a body that a plugin makes

-- The pieces; raises when ngx.req.init_body was not called.
local function pieces(what)
  local parts = task.get_extra(BUILDING)
  if not parts.begun then
    error(what .. ": ngx.req.init_body was not called", 3)
  end
  return parts
end

local function init_body()
  local ok, err = exchange.read_body()
  if not ok then
    error("cannot read the body: " .. err, 2)
  end
  local parts = task.get_extra(BUILDING)
  for i = #parts, 1, -1 do
    parts[i] = nil
  end
  parts.begun = true
end

local function append_body(text)
  local parts = pieces("ngx.req.append_body")
  parts[#parts + 1] = tostring(text)
end

local function finish_body()
  local parts = pieces("ngx.req.finish_body")
  parts.begun = false
  local ok, err = exchange.body_set(table.concat(parts))
  if not ok then
    error(err, 2)
  end
end

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

  req.init_body, req.append_body, req.finish_body = init_body, append_body, finish_body
  req.socket = req_socket.open
  function req.set_body_file(path, auto_clean)
    if type(path) ~= "string" or path == "" or path:find("\0", 1, true) then
      error("bad argument #1 to 'set_body_file' (a file's path expected)", 2)
    end
    local ok, err = exchange.body_file(path, auto_clean == true)
    if not ok then
      error(("ngx.req.set_body_file: %s: %s"):format(path, err), 2)
    end
  end
end


return _M
