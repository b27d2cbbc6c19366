-- acl: which groups of consumers may pass, or may not. Who the client is, an authentication plugin has
-- found out before.
-- Invariant: a client that nobody has identified never passes, and never tells the upstream its groups.

local json = require "moongate.abi.json"
local request = require "moongate.abi.request"
local route = require "moongate.abi.route"

local kong = kong
local concat, ipairs, type = table.concat, ipairs, type

local CONSUMER_GROUPS, AUTHENTICATED_GROUPS = "X-Consumer-Groups", "X-Authenticated-Groups"
local REFUSED = "You cannot consume this service"
local NONE = { names = {}, text = "" }

local Acl = {
  PRIORITY = 950,
  VERSION = "3.14.0",
}

local function weak()
  return setmetatable({}, { __mode = "k" })
end

-- conf -> {members = {group = true}, pass = do members pass?}
-- consumer -> {names, text}: its ACL groups; these and its consumer groups.
local sets, own, joined = weak(), weak(), weak()

local function set_of(conf)
  local set = sets[conf]
  if not set then
    local allows = conf.allow ~= nil and #conf.allow > 0
    set = { members = {}, pass = allows }
    for _, name in ipairs(allows and conf.allow or conf.deny) do
      set.members[name] = true
    end
    sets[conf] = set
  end
  return set
end

-- Groups of a consumer ---------------------------------------------------------------------------

-- Consumer groups of the generation that was asked last.
local known = {}

local function consumer_group_names(consumer)
  local generation = route.generation()
  if known.generation ~= generation then
    known.generation, known.list = generation, json.decode(route.raw("consumer_groups"))
  end
  local out = {}
  for _, number in ipairs(consumer.consumer_groups or {}) do
    local group = known.list[number]
    out[#out + 1] = group and group.name
  end
  return out
end

local function make_groups(consumer, with_consumer_groups)
  local names, seen = {}, {}
  local function add(list)
    for _, name in ipairs(list) do
      if not seen[name] then
        seen[name], names[#names + 1] = true, name
      end
    end
  end
  add(consumer.groups or {})
  if with_consumer_groups then
    add(consumer_group_names(consumer))
  end
  return { names = names, text = concat(names, ", ") }
end

local function groups_of(conf, consumer)
  local cache = conf.include_consumer_groups and joined or own
  local groups = cache[consumer]
  if not groups then
    groups = make_groups(consumer, conf.include_consumer_groups)
    cache[consumer] = groups
  end
  return groups
end

-- Groups that an authentication plugin got from elsewhere (a directory, a token); nil: none did.
local function authenticated_groups()
  local found = kong.ctx.shared.authenticated_groups
  if type(found) ~= "table" then
    return nil
  end
  local names = {}
  for _, name in ipairs(found) do
    if type(name) == "string" then
      names[#names + 1] = name
    end
  end
  return { names = names, text = concat(names, ", ") }
end

-- Deciding ---------------------------------------------------------------------------------------

-- Groups that count and the header that tells them; nothing when nobody is known.
local function find_groups(conf)
  local consumer = kong.client.get_consumer()
  if conf.always_use_authenticated_groups or not consumer or kong.client.get_credential() == nil then
    local groups = authenticated_groups()
    if groups then
      return groups, AUTHENTICATED_GROUPS
    end
  end
  if consumer then
    return groups_of(conf, consumer), CONSUMER_GROUPS
  end
end

local function is_member(groups, set)
  for i = 1, #groups.names do
    if set.members[groups.names[i]] then
      return true
    end
  end
  return false
end

-- Who has shown no credential might pass with one: 401, not 403.
local function refuse(groups)
  if #groups.names == 0 and kong.client.get_credential() == nil then
    return kong.response.error(401)
  end
  return kong.response.error(403, REFUSED)
end

function Acl:access(conf)
  request.clear_header(CONSUMER_GROUPS)
  request.clear_header(AUTHENTICATED_GROUPS)
  local groups, header = find_groups(conf)
  local set = set_of(conf)
  if not groups then
    return refuse(NONE)
  elseif is_member(groups, set) ~= set.pass then
    return refuse(groups)
  elseif not conf.hide_groups_header and groups.text ~= "" then
    request.set_header(header, groups.text)
  end
end

return Acl
