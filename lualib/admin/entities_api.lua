-- What the Admin API answers for entities: lists with pages and tags, single ones, below their parents, and writes.
-- One set of functions for all kinds (kinds.lua); the rules of writing are the store's.
-- A handler gets a call {method, params, query, body(), kind row ...} and returns an answer {status =, body =, headers =}.

local crypto = require("moongate.abi.crypto")
local errors = require("moongate.admin.errors")
local json = require("moongate.util.json_encode")
local kinds = require("moongate.admin.kinds")
local node = require("moongate.abi.node")
local publish = require("moongate.admin.publish")
local query_text = require("moongate.util.query")

local Store = require("moongate.admin.store")

local _M = {}

local SIZE, SIZE_MAX = 100, 1000

local function ok(kind, entity, status)
  return { status = status or 200, body = publish.store():view(kind, entity) }
end

-- lists -------------------------------------------------------------------------------------------

local function size_of(query)
  local size = query.size == nil and SIZE or tonumber(query.size)
  if not size or size ~= math.floor(size) or size < 1 or size > SIZE_MAX then
    return nil, errors.make("invalid_size", "size must be an integer between 1 and " .. SIZE_MAX)
  end
  return size
end

-- The id that a page ended with, from its opaque text.
local function after_of(query)
  if query.offset == nil then
    return nil
  end
  local id = type(query.offset) == "string" and crypto.decode_base64(query.offset, true)
  if not id or not Store.is_id(id) then
    return nil, errors.make("invalid_offset", "Invalid offset: '" .. tostring(query.offset) .. "'")
  end
  return id
end

local function invalid_tags(why)
  return nil, errors.make("invalid_options", "invalid option (tags: " .. why .. ")", { tags = why })
end

-- tags=a,b: all of them; tags=a/b: one of them. A function that tells whether an entity has them; nil and an answer.
local function tag_filter(query)
  local text = query.tags
  if text == nil then
    return function() return true end
  elseif type(text) ~= "string" or text == "" then
    return invalid_tags("cannot be null")
  elseif text:find(",", 1, true) and text:find("/", 1, true) then
    return invalid_tags("invalid filter syntax")
  end
  local wanted, all = {}, not text:find("/", 1, true)
  for tag in text:gmatch("[^,/]+") do
    wanted[#wanted + 1] = tag
  end
  return function(entity)
    local has, n = {}, 0
    for _, tag in ipairs(entity.tags ~= json.null and entity.tags or {}) do
      has[tag] = true
    end
    for _, tag in ipairs(wanted) do
      n = n + (has[tag] and 1 or 0)
    end
    return all and n == #wanted or not all and n > 0
  end
end

local function next_link(call, offset)
  local parts = { "offset=" .. query_text.encode(offset) }
  for _, name in ipairs({ "size", "tags" }) do
    if call.query[name] then
      parts[#parts + 1] = name .. "=" .. query_text.encode(call.query[name])
    end
  end
  return call.path .. "?" .. table.concat(parts, "&")
end

-- A page of the entities of a kind, or of those that refer to a parent.
local function list(call, row, field, parent)
  local size, answer = size_of(call.query)
  if not size then
    return answer
  end
  local after, filter
  after, answer = after_of(call.query)
  if answer then
    return answer
  end
  filter, answer = tag_filter(call.query)
  if not filter then
    return answer
  end
  local store = publish.store()
  local index = store.kinds[row.kind]
  local found, last = index:page(index:ids_of(field, parent), size, after, filter)
  local texts = {}
  for i, entity in ipairs(found) do
    texts[i] = store:view_text(row.kind, entity)
  end
  local offset = last and crypto.encode_base64(last, true, true)
  local rest = json.encode({ offset = offset, next = offset and next_link(call, offset) or json.null })
  return { status = 200, text = '{"data":[' .. table.concat(texts, ",") .. "]," .. rest:sub(2) }
end

-- writes ------------------------------------------------------------------------------------------

-- An answer when nothing can be written here.
local function read_only(call, row, by)
  if publish.is_writable() then
    return nil
  end
  return errors.read_only(call.method, row.kind, by)
end

local function with(input, field, id)
  if field then
    input[field] = { id = id }
  end
  return input
end

-- What was changed will be in use. An answer when it is known not to be.
local function keep(call)
  publish.changed()
  if not call.query.wait and not publish.is_in_trouble() then
    return nil
  end
  local done, why = publish.settle()
  if done then
    return nil
  elseif publish.is_in_trouble() then
    return errors.message(500, why)
  end
  return errors.make("declarative_config", "the configuration is refused as a whole: " .. why)
end

-- The answer to a change that the store took or not.
local function changed(call, row, entity, answer, status)
  if not entity then
    return answer
  end
  answer = keep(call)
  if answer then
    return answer
  end
  return entity == true and { status = 204 } or ok(row.kind, entity, status)
end

local function create(call, row, field, parent)
  local answer = read_only(call, row)
  local input
  if not answer then
    input, answer = call.read(row)
  end
  if not input then
    return answer
  end
  local entity
  entity, answer = publish.store():insert(row.kind, with(input, field, parent))
  return changed(call, row, entity, answer, 201)
end

-- The id that a PUT is for; the name that it was put by is its name, unless the input has another.
local function id_to_put(row, key, found, input)
  if Store.is_id(key) then
    return key
  end
  local field = row.key or row.key_below
  if not field then
    return nil, errors.make("invalid_primary_key", "invalid primary key: '" .. errors.show({ id = key }) .. "'", { id = key })
  end
  input[field] = input[field] == nil and key or input[field]
  return found and found.id or node.uuid()
end

-- find() is asked anew when the body is there: others may have written meanwhile.
local function put(call, row, key, find, field, parent)
  local input, answer = call.read(row)
  if not input then
    return answer
  end
  local id
  id, answer = id_to_put(row, key, find(), input)
  if not id then
    return answer
  end
  local entity
  entity, answer = publish.store():replace(row.kind, id, with(input, field, parent))
  return changed(call, row, entity, answer)
end

local function patch(call, row, find)
  local found = find()
  if not found then
    return errors.not_found()
  end
  local input, answer = call.read(row, found)
  if not input then
    return answer
  end
  found = find()
  if not found then
    return errors.not_found()
  end
  local entity
  entity, answer = publish.store():update(row.kind, found.id, input)
  return changed(call, row, entity, answer)
end

local function delete(call, row, found)
  if not found then
    return { status = 204 }
  end
  local done, answer = publish.store():remove(row.kind, found.id)
  return changed(call, row, done, answer)
end

-- A group as decK reads it, with its members.
local function wrapped(call, row, found)
  local body = { consumer_group = publish.store():view(row.kind, found) }
  if call.query.list_consumers ~= "false" then
    body.consumers = json.array()
    for i, consumer in ipairs((publish.store():members_of("consumer_groups", found.id))) do
      body.consumers[i] = publish.store():view("consumers", consumer)
    end
  end
  return { status = 200, body = body }
end

local function one(call, row, key, find, field, parent)
  local found = find()
  local by = not Store.is_id(key) and row.key or nil
  if call.method == "GET" then
    if found and row.kind == "consumer_groups" then
      return wrapped(call, row, found)
    end
    return found and ok(row.kind, found) or errors.not_found()
  end
  local answer = read_only(call, row, by)
  if answer then
    return answer
  elseif call.method == "PUT" then
    return put(call, row, key, find, field, parent)
  elseif call.method == "PATCH" then
    return patch(call, row, find)
  end
  return delete(call, row, found)
end

-- handlers by kind ----------------------------------------------------------------------------------

--- GET lists, POST creates.
function _M.collection(row)
  return function(call)
    return call.method == "POST" and create(call, row) or call.method ~= "POST" and list(call, row) or nil
  end
end

--- GET, PUT, PATCH, DELETE of one.
function _M.member(row)
  return function(call)
    local key = call.params[1]
    return one(call, row, key, function()
      return publish.store():find(row.kind, key)
    end)
  end
end

--- The same below a parent, to which they refer by `field`.
function _M.collection_below(parent_row, row, field)
  return function(call)
    local parent = publish.store():find(parent_row.kind, call.params[1])
    if not parent then
      return errors.not_found()
    elseif call.method == "POST" then
      return create(call, row, field, parent.id)
    end
    return list(call, row, field, parent.id)
  end
end

function _M.member_below(parent_row, row, field)
  return function(call)
    local parent, key = publish.store():find(parent_row.kind, call.params[1]), call.params[2]
    if not parent then
      return errors.not_found()
    end
    return one(call, row, key, function()
      return publish.store():find_below(row.kind, key, field, parent.id)
    end, field, parent.id)
  end
end

--- GET /routes/{}/service: the one that `field` refers to.
function _M.referred(row, field)
  return function(call)
    local store = publish.store()
    local entity = store:find(row.kind, call.params[1])
    local ref = entity and entity[field]
    local kind = row.foreign[field]
    local found = type(ref) == "table" and store.kinds[kind].by_id[ref.id]
    return found and ok(kind, found) or errors.not_found()
  end
end

-- consumer groups -----------------------------------------------------------------------------------

local ENTITY = { consumers = "consumer_group", consumer_groups = "consumer" } -- what a member list of the kind holds

local function member_list(call, kind, found)
  local store = publish.store()
  local members, other = store:members_of(kind, found.id)
  local data = json.array()
  for i, member in ipairs(members) do
    data[i] = store:view(other, member)
  end
  local name = kind == "consumer_groups" and "consumers" or "consumer_groups"
  return { status = 200, body = { data = data, [name] = data, next = json.null } }
end

local function join(call, kind, found, other_key)
  local store = publish.store()
  local other_kind = kind == "consumer_groups" and "consumers" or "consumer_groups"
  local other = type(other_key) == "string" and store:find(other_kind, other_key)
  if not other then
    local field = ENTITY[kind]
    return errors.foreign(field, { id = other_key or json.null }, other_kind)
  end
  local consumer, group = kind == "consumers" and found or other, kind == "consumers" and other or found
  if not store:join(consumer.id, group.id) then
    return errors.unique({ consumer = { id = consumer.id }, consumer_group = { id = group.id } })
  end
  local answer = keep(call)
  if answer then
    return answer
  end
  local consumers, groups = json.array(), json.array()
  consumers[1], groups[1] = store:view("consumers", consumer), store:view("consumer_groups", group)
  if kind == "consumers" then
    return { status = 201, body = { consumer = consumers[1], consumer_groups = groups } }
  end
  return { status = 201, body = { consumer_group = groups[1], consumers = consumers } }
end

--- GET lists the members of a group (the groups of a consumer), POST {"consumer": ...} ({"group": ...}) adds one.
function _M.members(row)
  return function(call)
    local found = publish.store():find(row.kind, call.params[1])
    if not found then
      return errors.not_found()
    elseif call.method == "GET" then
      return member_list(call, row.kind, found)
    end
    local answer = read_only(call, { kind = "consumer_group_consumers" })
    local input
    if not answer then
      input, answer = call.read()
    end
    if not input then
      return answer
    end
    found = publish.store():find(row.kind, call.params[1]) -- others may have written meanwhile
    if not found then
      return errors.not_found()
    end
    local wanted = row.kind == "consumers" and (input.group or input.consumer_group) or input.consumer
    return join(call, row.kind, found, type(wanted) == "table" and (wanted.id or wanted.name or wanted.username) or wanted)
  end
end

--- DELETE takes one out, GET shows it.
function _M.membership(row)
  local other_kind = row.kind == "consumer_groups" and "consumers" or "consumer_groups"
  return function(call)
    local store = publish.store()
    local found, other = store:find(row.kind, call.params[1]), store:find(other_kind, call.params[2])
    local consumer, group = found, other
    if row.kind == "consumer_groups" then
      consumer, group = other, found
    end
    local is_member = found and other and store.members[group.id] and store.members[group.id][consumer.id]
    if not is_member then
      return errors.not_found()
    elseif call.method == "GET" then
      return ok(other_kind, other)
    end
    local answer = read_only(call, { kind = "consumer_group_consumers" })
    if answer then
      return answer
    end
    store:leave(consumer.id, group.id)
    return keep(call) or { status = 204 }
  end
end

-- tags ----------------------------------------------------------------------------------------------

--- GET /tags, /tags/{tag}: which entities have tags.
function _M.tags(call)
  local store, data, wanted = publish.store(), json.array(), call.params[1]
  for _, row in ipairs(kinds.list) do
    local index = store.kinds[row.kind]
    for _, id in ipairs(index.ids) do
      for _, tag in ipairs(index.by_id[id].tags ~= json.null and index.by_id[id].tags or {}) do
        if not wanted or tag == wanted then
          data[#data + 1] = { tag = tag, entity_name = row.kind, entity_id = id }
        end
      end
    end
  end
  return { status = 200, body = { data = data, next = json.null } }
end

return _M
