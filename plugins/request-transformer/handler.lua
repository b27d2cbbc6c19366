-- request-transformer: changes the method, path, headers, query and body of requests on their way to
-- the upstream: remove, rename, replace, add, append, in that order. Values may hold templates.
-- Bodies and queries are edited as text: what no rule names keeps its bytes.
-- Invariant: templates see the request as the client sent it, whatever was changed before.

local arguments = require "moongate.transform.arguments"
local exchange = require "moongate.abi.exchange"
local fields = require "moongate.pdk.fields"
local json_object = require "moongate.transform.json_object"
local json_text = require "moongate.ai.json_text"
local multipart = require "moongate.transform.multipart"
local request = require "moongate.abi.request"
local rules = require "moongate.transform.rules"
local template = require "moongate.transform.template"

local kong = kong
local find, lower, match, type = string.find, string.lower, string.match, type

local RequestTransformer = {
  PRIORITY = 801,
  VERSION = "3.14.0",
}

-- conf -> its rules, compiled once.
local plans = setmetatable({}, { __mode = "k" })

local function build(conf)
  local templated = false
  local function make(text)
    local value = assert(template.compile(text))
    templated = templated or type(value) == "table"
    return value
  end
  local uri = conf.replace.uri and conf.replace.uri ~= "" and make(conf.replace.uri) or nil
  local plan = {
    uri = uri,
    headers = rules.compile(conf, "headers", make),
    query = rules.compile(conf, "querystring", make),
    body = rules.compile(conf, "body", make),
  }
  plan.templated = templated
  plans[conf] = plan
  return plan
end

-- What templates see -----------------------------------------------------------------------------

local NOTHING = {}

local function captures()
  local found = request.captures()
  local out = {}
  for i, text in pairs(found and found.unnamed or NOTHING) do
    out[i] = text
  end
  for name, text in pairs(found and found.named or NOTHING) do
    out[name] = text
  end
  return out
end

local function scope_of()
  return {
    headers = fields.table((request.headers())),
    query_params = kong.request.get_query(1000),
    uri_captures = captures(),
    shared = kong.ctx.shared,
  }
end

-- Path and method --------------------------------------------------------------------------------

-- What stands behind a "?" goes before the request's own arguments.
local function set_uri(uri)
  local path, query = match(uri, "^([^?]*)%??(.*)$")
  kong.service.request.set_path(path:sub(1, 1) == "/" and path or "/" .. path)
  if query ~= "" then
    local own = exchange.query()
    kong.service.request.set_raw_query(own and own ~= "" and query .. "&" .. own or query)
  end
end

local BODYLESS = { GET = true, HEAD = true, TRACE = true }
local FORM = "application/x-www-form-urlencoded"

local function mime_of()
  local text = request.header("Content-Type")
  return text and lower(match(text, "^%s*([^;%s]*)")), text
end

-- The whole body; answers the request where there is none to be had.
local function read_body()
  local text, err = kong.request.get_raw_body()
  if text then
    return text
  end
  return kong.response.error(find(err, "too large", 1, true) and 413 or 400, err)
end

-- A form that becomes a GET goes on in the query.
local function set_method(method)
  kong.service.request.set_method(method)
  if not BODYLESS[method] or mime_of() ~= FORM then
    return
  end
  local body = read_body()
  if body ~= "" then
    local own = exchange.query()
    exchange.set_query(own and own ~= "" and own .. "&" .. body or body)
  end
end

-- Headers ----------------------------------------------------------------------------------------

local function is_host(name)
  return #name == 4 and lower(name) == "host"
end

local headers = {}

function headers:has(name)
  return request.header(name) ~= nil
end

-- Only replace has a say in the Host that the upstream gets.
function headers:refuses(name)
  return is_host(name)
end

function headers:remove(name)
  if not is_host(name) then
    request.clear_header(name)
  end
end

function headers:rename(old, new)
  if is_host(old) or is_host(new) then
    return
  end
  local values, flat, key = {}, request.headers(), lower(old)
  for i = 1, #flat, 2 do
    if lower(flat[i]) == key then
      values[#values + 1] = flat[i + 1]
    end
  end
  if lower(new) ~= key then
    request.clear_header(new)
  end
  request.clear_header(old)
  for i = 1, #values do
    request.add_header(new, values[i])
  end
end

function headers:set(name, value)
  kong.service.request.set_header(name, value)
end

function headers:append(name, value)
  kong.service.request.add_header(name, value)
end

-- Query and body ---------------------------------------------------------------------------------

local function change_query(plan, value_of)
  local list = arguments.read(exchange.query())
  if rules.apply(plan.query, list, value_of) then
    exchange.set_query(arguments.write(list))
  end
end

local function json_value(value_of)
  return function(value)
    return json_text.quote(value_of(value))
  end
end

-- Each: reader(text, content_type) -> list | nil, why; write(list, content_type) -> text; value: how a
-- rule's text becomes a piece of such a body.
local BODIES = {
  json = {
    read = function(text)
      return json_object.read(text == "" and "{}" or text)
    end,
    write = json_object.write,
    value = json_value,
  },
  form = { read = arguments.read, write = arguments.write },
  multipart = {
    read = function(text, content_type)
      local boundary = match(content_type, '[Bb]oundary="([^"]+)"') or match(content_type, "[Bb]oundary=([^%s;,]+)")
      if not boundary then
        return nil, "its Content-Type names no boundary"
      end
      return multipart.read(text, boundary), nil, boundary
    end,
    write = multipart.write,
  },
}

local function body_kind()
  local mime, content_type = mime_of()
  if not mime then
    return nil
  elseif json_object.is_named_by(content_type) then
    return BODIES.json, content_type
  elseif mime == FORM then
    return BODIES.form, content_type
  end
  return mime == "multipart/form-data" and BODIES.multipart or nil, content_type
end

-- A body that is not what its type says passes as it came: the upstream will say so.
local function change_body(plan, value_of)
  local kind, content_type = body_kind()
  if not kind then
    return
  end
  local list, why, boundary = kind.read(read_body(), content_type)
  if not list then
    kong.log.warn("request body left as it is: ", why)
  elseif rules.apply(plan.body, list, kind.value and kind.value(value_of) or value_of) then
    kong.service.request.set_raw_body(kind.write(list, boundary))
  end
end

local function literal(value)
  return value
end

function RequestTransformer:access(conf)
  local plan = plans[conf] or build(conf)
  local value_of = literal
  if plan.templated then
    local scope = scope_of()
    value_of = function(value)
      return template.render(value, scope)
    end
  end
  if plan.uri then
    set_uri(value_of(plan.uri))
  end
  if conf.http_method then
    set_method(conf.http_method)
  end
  if plan.headers then
    rules.apply(plan.headers, headers, value_of)
  end
  if plan.body then
    change_body(plan, value_of)
  end
  if plan.query then
    change_query(plan, value_of)
  end
end

return RequestTransformer
