-- GET and POST /config: the configuration as a whole. What is posted takes the place of everything; the answer comes when
-- every worker has it. Also how a configuration is checked in this process, for its errors.

local admin = require("moongate.abi.admin")
local args = require("moongate.pdk.args")
local body = require("moongate.admin.body")
local crypto = require("moongate.abi.crypto")
local errors = require("moongate.admin.errors")
local json = require("moongate.util.json_encode")
local kinds = require("moongate.admin.kinds")
local loader = require("moongate.config.loader")
local plugins = require("moongate.admin.plugins")
local problems = require("moongate.admin.problems")
local publish = require("moongate.admin.publish")
local file = require("moongate.util.file")
local regex = require("moongate.abi.regex")
local request = require("moongate.abi.request")
local yaml = require("moongate.abi.yaml")

local _M = {}

require("moongate.schema.regex").use_compiler(function(pattern)
  local ok, why = regex.compile(pattern)
  return ok and true or nil, why
end)

local posted -- {digest =, hash =}: the text that was posted last, and the hash of the configuration that it became

local function parse_yaml(text)
  local tree, why = yaml.parse(text, json.array_mt)
  if tree == nil then
    return nil, { message = why }
  end
  return tree
end

-- The inventory of a text, or nil and its problems.
local function check(text)
  local document, list, inventory = loader.load({ { file = "body", text = text } }, {
    inventory = true, parse_yaml = parse_yaml, plugin_schema = plugins.definition, plugin_names = plugins.names,
    read_secret = file.read, sha1 = function(bytes) return crypto.hex(crypto.sha1(bytes)) end,
  })
  if not document then
    return nil, list
  end
  return inventory
end

-- The configuration's text: the body itself, or what its field `config` holds.
local function text_of()
  local raw, answer = body.raw()
  if not raw then
    return nil, answer
  end
  local content_type = (request.header("Content-Type") or ""):lower()
  local inner = raw
  if content_type:find("^application/json") then
    local tree
    tree, answer = body.decode(raw)
    if raw:find("%S") and not tree then
      return nil, answer
    end
    inner = tree and type(tree.config) == "string" and tree.config or raw
  elseif content_type:find("^application/x%-www%-form%-urlencoded") then
    inner = args.decode(raw).config or ""
  end
  if type(inner) ~= "string" or not inner:find("%S") then
    return nil, errors.message(400, "expected a declarative configuration")
  end
  return inner
end

local function hash_in_use()
  return admin.status_json():match('"configuration_hash":"(%x+)"')
end

-- All entities by id, as Kong answers what it has loaded.
local function loaded_body()
  local store, out = publish.store(), {}
  for _, row in ipairs(kinds.list) do
    local index, by_id = store.kinds[row.kind], {}
    for _, id in ipairs(index.ids) do
      by_id[id] = store:view(row.kind, index.by_id[id])
    end
    if index.ids[1] then
      out[row.kind] = by_id
    end
  end
  return out
end

local function refused(text, why, flatten)
  local inventory, list = check(text)
  if not inventory then
    return problems.answer(list, flatten)
  end
  -- A plugin's code, a worker that would not take it: nothing that an entity is to blame for.
  local answer = errors.make("declarative_config", "declarative config is invalid: " .. why, { error = why })
  answer.body.flattened_errors = flatten and json.array() or nil
  return answer
end

local function load(text, flatten)
  local how, why = admin.load(text)
  if how == "busy" then
    local answer = errors.message(429, "Currently loading previous configuration")
    answer.headers = { ["Retry-After"] = "1" }
    return answer
  elseif how == nil then
    return errors.message(503, "the configuration cannot be loaded: " .. tostring(why))
  elseif how == "refused" then
    return refused(text, why, flatten)
  end
  return nil, how
end

-- With a store the posted entities become its own.
local function write(text, flatten)
  local inventory, list = check(text)
  if not inventory then
    return problems.answer(list, flatten)
  end
  local ok, why = publish.replace(inventory.entities)
  if ok then
    return nil
  end
  return publish.is_in_trouble() and errors.message(500, why) or refused(text, why, flatten)
end

local function truthy(value)
  return value == "1" or value == "true" or value == true
end

--- POST /config[?check_hash=1][&flatten_errors=1]
function _M.post(call)
  local text, answer = text_of()
  if not text then
    return answer
  end
  local digest, flatten = crypto.sha256(text), truthy(call.query.flatten_errors)
  if truthy(call.query.check_hash) and posted and posted.digest == digest and posted.hash == hash_in_use() then
    return { status = 304 }
  end
  local how
  if publish.is_writable() then
    answer = write(text, flatten)
  else
    answer, how = load(text, flatten)
  end
  if answer then
    return answer
  end
  posted = { digest = digest, hash = hash_in_use() }
  if how == "unchanged" and truthy(call.query.check_hash) then
    return { status = 304 }
  end
  return { status = 201, body = loaded_body() }
end

--- GET /config: as one declarative file. JSON is YAML too.
function _M.get()
  return { status = 200, body = { config = publish.store():text() } }
end

--- /config by method.
function _M.dispatch(call)
  return call.method == "POST" and _M.post(call) or _M.get()
end

return _M
