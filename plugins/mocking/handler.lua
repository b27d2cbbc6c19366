-- mocking: answers requests with the examples of an API specification; the upstream is not asked.
-- Not the reading of specifications (lualib/openapi).
-- Invariant: specifications are read and parsed when a configuration comes into use, never in a request.

local file = require "moongate.util.file"
local json = require "moongate.pdk.json"
local request = require "moongate.abi.request"
local response = require "moongate.abi.response"
local sample = require "moongate.openapi.sample"
local Spec = require "moongate.openapi.spec"
local wait = require "moongate.abi.wait"
local yaml = require "moongate.abi.yaml"

local kong = kong
local find, gmatch, lower, match = string.find, string.gmatch, string.lower, string.match
local random = math.random

local Mocking = {
  PRIORITY = -1,
  VERSION = "3.14.0",
}

local DELAY_MAX_MS = 10000
local NO_PATH = "Path does not exist in API Specification"
local NO_METHOD = "Corresponding path and method spec does not exist in API Specification"
local NO_EXAMPLE = "No examples exist in API specification for this resource"

-- Specifications ---------------------------------------------------------------------------------

local specs = setmetatable({}, { __mode = "k" }) -- conf -> Spec, or false: it could not be read

local function text_of(conf)
  if conf.api_specification then
    return conf.api_specification
  end
  return file.read(conf.api_specification_filename)
end

local function load_spec(conf)
  local text, err = text_of(conf)
  if not text then
    return nil, err
  end
  local tree
  if find(text, "^%s*{") then
    tree, err = json.decode(text)
  else
    tree, err = yaml.parse(text, json.array_mt)
  end
  if not tree then
    return nil, err
  end
  return Spec.new(tree, conf.include_base_path and (conf.custom_base_path or true) or nil)
end

function Mocking:configure(configs)
  for _, conf in ipairs(configs or {}) do
    local spec, err = load_spec(conf)
    if not spec then
      kong.log.err("the API specification cannot be used: ", err)
    end
    specs[conf] = spec or false
  end
end

-- Choosing ---------------------------------------------------------------------------------------

local function contains(list, wanted)
  for i = 1, #list do
    if list[i] == wanted then
      return true
    end
  end
  return false
end

-- The response to mock: the one asked for, else any or the lowest of those that may be.
local function choose_response(conf, spec, operation)
  local all, asked = spec:responses(operation), tonumber((request.header("X-Kong-Mocking-Status-Code")))
  local allowed = {}
  for _, one in ipairs(all) do
    if asked and one.status == asked then
      return one
    end
    local included = conf.included_status_codes
    if not (included and included[1]) or contains(included, one.status) then
      allowed[#allowed + 1] = one
    end
  end
  if asked then
    return nil
  end
  return allowed[conf.random_status_code and allowed[1] and random(#allowed) or 1]
end

local function accepts(range, mime)
  local kind = match(range, "^([^/]+)/%*$")
  return range == "*/*" or range == mime or kind ~= nil and kind == match(mime, "^[^/]+")
end

-- The media type the client likes best; the first, JSON preferred, when it likes none.
local function choose_content(contents)
  local best, best_q = nil, 0
  for part in gmatch(request.header("Accept") or "", "[^,]+") do
    local range = lower(match(part, "^%s*([^;%s]*)"))
    local q = tonumber(match(part, ";%s*q=([%d.]+)")) or 1
    for _, content in ipairs(contents) do
      if q > best_q and accepts(range, lower(match(content.mime, "^[^;%s]*"))) then
        best, best_q = content, q
      end
    end
  end
  if best then
    return best
  end
  for _, content in ipairs(contents) do
    if content.mime == "application/json" then
      return content
    end
  end
  return contents[1]
end

-- The value to answer with, or nil.
local function choose_example(spec, content)
  local wanted, examples = request.header("X-Kong-Mocking-Example-Id"), content.examples
  if wanted then
    for _, example in ipairs(examples) do
      if example.id == wanted then
        return example.value
      end
    end
    return nil
  elseif examples[1] then
    return examples[random(#examples)].value
  end
  return content.schema and sample(content.schema, spec)
end

-- Answering --------------------------------------------------------------------------------------

-- A text that is JSON already stays what it is.
local function body_of(value, mime)
  if type(value) ~= "string" then
    return json.encode(value)
  elseif find(mime, "json", 1, true) and not (find(value, "^%s*[{[]") and json.decode(value) ~= nil) then
    return json.encode(value)
  end
  return value
end

local function delay(conf)
  local asked = tonumber((request.header("X-Kong-Mocking-Delay")))
  local seconds = 0
  if asked and asked >= 0 and asked <= DELAY_MAX_MS then
    seconds = asked / 1000
  elseif conf.random_delay then
    seconds = conf.min_delay_time + random() * (conf.max_delay_time - conf.min_delay_time)
  end
  if seconds > 0 then
    wait.sleep(seconds)
  end
end

local function refuse(message)
  return kong.response.exit(404, { message = message })
end

function Mocking:access(conf)
  local spec = specs[conf]
  if not spec then
    return kong.response.error(500, "The API specification cannot be used")
  end
  local operation, missing = spec:find(request.method(), request.path())
  if not operation then
    return refuse(missing == "path" and NO_PATH or NO_METHOD)
  end
  local chosen = choose_response(conf, spec, operation)
  if not chosen then
    return refuse(NO_EXAMPLE)
  end
  local contents = spec:contents(chosen.response)
  delay(conf)
  response.set_header("X-Kong-Mocking-Plugin", "true")
  if not contents[1] then
    return kong.response.exit(chosen.status) -- a response without a body, such as 204
  end
  local content = choose_content(contents)
  local value = choose_example(spec, content)
  if value == nil then
    return refuse(NO_EXAMPLE)
  end
  return kong.response.exit(chosen.status, body_of(value, content.mime), { ["Content-Type"] = content.mime })
end

return Mocking
