-- The Admin API's one plugin, which answers every request of its process: who may ask, which route it is, its body, the answer.
-- What is answered is in the *_api.lua files. Invariant: nothing is read or done before it is known who asks.

local crypto = require("moongate.abi.crypto")
local body = require("moongate.admin.body")
local errors = require("moongate.admin.errors")
local form = require("moongate.admin.form")
local json = require("moongate.util.json_encode")
local node = require("moongate.abi.node")
local pdk_args = require("moongate.pdk.args")
local publish = require("moongate.admin.publish")
local query_text = require("moongate.util.query")
local request = require("moongate.abi.request")
local response = require("moongate.abi.response")
local routes = require("moongate.admin.routes")

local Store = require("moongate.admin.store")

local Handler = { PRIORITY = 1000, VERSION = "1.0.0" }

local KEY, CLIENT_CA = node.setting("admin_key"), node.setting("admin_client_ca")
local JSON_TYPE = "application/json; charset=utf-8"
local ARGS_MAX = 100

-- who asks ----------------------------------------------------------------------------------------

local function is_local_name(host)
  return host == "localhost" or host:find("^%d+%.%d+%.%d+%.%d+$") ~= nil or host:find(":", 1, true) ~= nil
end

-- Without a key a web page in somebody's browser could write here: browsers name the page's origin, and a page whose name was
-- made to lead here names itself as the host.
local function is_from_page()
  local knows_client = request.tls() and CLIENT_CA ~= ""
  return not knows_client and (request.header("Origin") ~= nil or not is_local_name(request.host() or "localhost"))
end

-- An answer for who may not ask.
local function refuse()
  if KEY and KEY ~= "" then
    local given = request.header("Kong-Admin-Token")
    if not (type(given) == "string" and crypto.equal(given, KEY)) then
      return errors.message(401, "Unauthorized")
    end
  elseif not node.setting("admin_unprotected") and is_from_page() then
    return errors.message(403, "set admin_key to use the Admin API from a browser or by a name of its host")
  end
end

-- the call ----------------------------------------------------------------------------------------

local function segments_of(path)
  local out = {}
  for segment in path:gmatch("[^/]+") do
    out[#out + 1] = query_text.decode((segment:gsub("+", "%%2B")))
  end
  return out
end

-- read(row, base): the body as input for that kind (none: as it is). base: the entity that it changes.
local function reader()
  return function(row, base)
    local input, answer, is_text = body.read()
    if not input then
      return nil, answer
    elseif is_text and row then
      local schema = Store.schema_of(row.kind, { name = input.name or base and base.name })
      input = schema and form.infer(schema, input) or input
    end
    return input
  end
end

local function answer_to(method)
  local path = request.raw_path() or "/"
  local row, params = routes.find(segments_of(path))
  if not row then
    return errors.not_found()
  elseif not row.allows[method] then
    return routes.not_allowed(row)
  elseif method == "OPTIONS" then
    return { status = 204, headers = { Allow = routes.allowed(row) } }
  end
  return row.fn({
    method = method == "HEAD" and "GET" or method, path = path, params = params,
    query = pdk_args.decode(request.query() or "", ARGS_MAX), read = reader(),
  })
end

local function send(answer)
  for name, value in pairs(answer.headers or {}) do
    response.set_header(name, value)
  end
  local text = answer.text or answer.body and json.encode(answer.body)
  response.exit(answer.status, text, text and (answer.type or JSON_TYPE) or nil)
end

--- Every configuration comes here first.
function Handler:configure(configs)
  if configs and configs[1] then
    publish.use(configs[1].inventory)
  end
end

function Handler:access(conf)
  if not publish.store() then
    publish.use(conf.inventory)
  end
  send(refuse() or answer_to(request.method()))
end

return Handler
