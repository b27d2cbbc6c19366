-- response-transformer: changes the headers and the JSON body of responses on their way to the client:
-- remove, rename, replace, add, append, in that order.
-- A JSON body is held back until it is whole; members no rule names keep their bytes. Other bodies, and
-- all of them where only headers change, stream on.

local exchange = require "moongate.abi.exchange"
local json_object = require "moongate.transform.json_object"
local json_text = require "moongate.ai.json_text"
local response = require "moongate.abi.response"
local rules = require "moongate.transform.rules"

local kong = kong
local lower, match = string.lower, string.match

local ResponseTransformer = {
  PRIORITY = 800,
  VERSION = "3.14.0",
  OPTIONAL = { body_filter = true },
}

local plans = setmetatable({}, { __mode = "k" }) -- conf -> {headers=, json=}: compiled rules

-- The JSON text of a rule's value. A text that is no value of its type is sent as a string.
local function json_value(text, kind)
  if kind == "number" and tonumber(text) then
    return json_text.number(tonumber(text)) or json_text.quote(text)
  elseif kind == "boolean" and (text == "true" or text == "false") then
    return text
  end
  return json_text.quote(text)
end

local function build(conf)
  local plan = {
    headers = rules.compile(conf, "headers"),
    json = rules.compile(conf, "json", function(text, i, action)
      return json_value(text, (conf[action].json_types or {})[i])
    end),
  }
  plans[conf] = plan
  return plan
end

-- Headers ----------------------------------------------------------------------------------------

local function values_of(name)
  local out, flat, key = {}, response.headers(), lower(name)
  for i = 1, #flat, 2 do
    if lower(flat[i]) == key then
      out[#out + 1] = flat[i + 1]
    end
  end
  return out
end

local function put_all(name, values)
  response.clear_header(name)
  for i = 1, #values do
    response.add_header(name, values[i])
  end
end

-- Is it the value that the rule names: exactly, or by a pattern between slashes?
local function is_meant(value, wanted)
  local pattern = match(wanted, "^/(.+)/$")
  if pattern then
    return ngx.re.find(value, pattern, "jo") ~= nil
  end
  return value == wanted
end

local headers = {}

function headers:has(name)
  return response.header(name) ~= nil
end

-- With a value: those lines only.
function headers:remove(name, wanted)
  local kept = {}
  if wanted ~= "" then
    for _, value in ipairs(values_of(name)) do
      if not is_meant(value, wanted) then
        kept[#kept + 1] = value
      end
    end
  end
  put_all(name, kept)
end

function headers:rename(old, new)
  local values = values_of(old)
  response.clear_header(old)
  put_all(new, values)
end

function headers:set(name, value)
  kong.response.set_header(name, value)
end

function headers:append(name, value)
  kong.response.add_header(name, value)
end

function ResponseTransformer:header_filter(conf)
  local plan = plans[conf] or build(conf)
  local json = plan.json and json_object.is_named_by(response.header("Content-Type"))
  if plan.headers then
    rules.apply(plan.headers, headers)
  end
  if json then
    response.clear_header("Content-Length")
    exchange.want("body_filter")
  end
end

-- Body -------------------------------------------------------------------------------------------

function ResponseTransformer:body_filter(conf)
  local body = kong.response.get_raw_body()
  if not body or body == "" then
    return
  end
  local list, why = json_object.read(body)
  if not list then
    kong.log.warn("response body left as it is: ", why)
    return
  end
  if rules.apply((plans[conf] or build(conf)).json, list) then
    kong.response.set_raw_body(json_object.write(list))
  end
end

return ResponseTransformer
