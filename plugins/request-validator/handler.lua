-- request-validator: refuses requests whose parameters or JSON body are not as a schema says.
-- Not the schemas (lualib/jsonschema, lualib/schema), which are compiled once for each configuration.

local cache_rules = require "moongate.cache.rules"
local json = require "moongate.pdk.json"
local json_object = require "moongate.transform.json_object"
local jsonschema = require "moongate.jsonschema"
local parameters = require "moongate.jsonschema.parameters"
local request = require "moongate.abi.request"
local Schema = require "moongate.schema"

local kong = kong
local format = string.format

local RequestValidator = {
  PRIORITY = 999,
  VERSION = "3.14.0",
}

local BAD_PARAMETER = "request param doesn't conform to schema"
local BAD_BODY = "request body doesn't conform to schema"
local BAD_TYPE = "specified Content-Type is not allowed"
local MISSING = "required parameter value not found"

-- Compiling --------------------------------------------------------------------------------------

local plans = setmetatable({}, { __mode = "k" }) -- conf -> {body = check | nil, parameters = {...}}

-- value -> true | nil, why (a text, or Kong's table of errors by field).
local function body_check(conf)
  if conf.version ~= "kong" then
    return assert(jsonschema.compile(conf.body_schema))
  end
  local schema = assert(Schema.new({ name = "body", fields = json.decode(conf.body_schema) }))
  return function(value)
    if type(value) ~= "table" or getmetatable(value) == json.array_mt then
      return nil, "wrong type: expected object"
    end
    return schema:validate(value)
  end
end

local function build(conf)
  local plan = { parameters = {} }
  if conf.body_schema then
    plan.body = body_check(conf)
  end
  for i, given in ipairs(conf.parameter_schema or {}) do
    plan.parameters[i] = {
      given = { ["in"] = given["in"], name = given.name, explode = given.explode,
        style = given.style or parameters.DEFAULT_STYLE[given["in"]] },
      required = given.required,
      schema = given.schema and json.decode(given.schema),
      check = given.schema and assert(jsonschema.compile(given.schema)),
    }
  end
  plans[conf] = plan
  return plan
end

local function refuse(conf, message, why)
  return kong.response.exit(400, { message = conf.verbose_response and why or message })
end

-- Parameters -------------------------------------------------------------------------------------

local SOURCES = {
  query = function()
    return kong.request.get_query(1000)
  end,
  header = function(name)
    local value = kong.request.get_headers(1000)[name]
    return type(value) == "table" and table.concat(value, ",") or value
  end,
  path = function(name)
    return kong.request.get_uri_captures().named[name]
  end,
}

-- true, or nil and what is wrong.
local function check_parameter(one)
  local given = one.given
  local value = parameters.read(given, one.schema, SOURCES[given["in"]](given.name))
  local ok, why = true, nil
  if value == nil then
    ok, why = not one.required, MISSING
  elseif one.check then
    ok, why = one.check(value)
  end
  if ok then
    return true
  end
  return nil, format("%s '%s' validation failed, [error] %s", given["in"], given.name, why)
end

-- Body -------------------------------------------------------------------------------------------

local function is_allowed(conf, content_type)
  if conf.content_type_parameter_validation then
    return cache_rules.is_listed(content_type, conf.allowed_content_types)
  end
  local plain = {}
  for i, wanted in ipairs(conf.allowed_content_types) do
    plain[i] = wanted:match("^[^;]*")
  end
  return cache_rules.is_listed(content_type:match("^[^;]*"), plain)
end

local function check_body(conf, check)
  local content_type = request.header("Content-Type") or "application/json"
  if not is_allowed(conf, content_type) then
    return refuse(conf, BAD_TYPE, BAD_TYPE)
  elseif not json_object.is_named_by(content_type) then
    return
  end
  local text, err = kong.request.get_raw_body()
  if not text then
    return kong.response.error(err:find("too large", 1, true) and 413 or 400, err)
  end
  local value = json.decode(text)
  if value == nil then
    return refuse(conf, BAD_BODY, "request body is not valid JSON")
  end
  local ok, why = check(value)
  if not ok then
    return refuse(conf, BAD_BODY, why)
  end
end

function RequestValidator:access(conf)
  local plan = plans[conf] or build(conf)
  for _, one in ipairs(plan.parameters) do
    local ok, why = check_parameter(one)
    if not ok then
      return refuse(conf, BAD_PARAMETER, why)
    end
  end
  if plan.body then
    return check_body(conf, plan.body)
  end
end

return RequestValidator
