-- Where a DAO's entities come from: one interface over what C indexes, over decoded lists, and over
-- targets. Not the DAOs' methods (dao.lua). Entities are shared tables, never to be changed.
-- Invariant: all is of the generation the request began with; indexes are made once per generation.

local route = require("moongate.abi.route")

local M = {}

-- A memo of the generation, filled by make(memo) the first time.
local function filled(name, make)
  local memo = route.memo(name)
  if not memo.done then
    memo.done = true
    make(memo)
  end
  return memo
end

local Collection = {}
Collection.__index = Collection

-- value -> list of the entities that have it in `field` (of a reference: in its id).
local function index_of(self, field)
  return filled("index:" .. self.name .. ":" .. field, function(memo)
    memo.lists = {}
    for i = 1, self:count() do
      local entity = self:at(i)
      local value = entity[field]
      if type(value) == "table" then
        value = value.id
      end
      if value ~= nil then
        memo.lists[value] = memo.lists[value] or {}
        table.insert(memo.lists[value], entity)
      end
    end
  end).lists
end

--- The first entity with that value in a field, or nil.
function Collection:find(field, value)
  local finder = self.finders[field]
  if finder then
    return finder(value)
  end
  local list = index_of(self, field)[value]
  return list and list[1]
end

--- All entities with that value in a field: a shared list.
function Collection:all(field, value)
  local lister = self.listers[field]
  if lister then
    return lister(value)
  end
  return index_of(self, field)[value] or {}
end

local function new(name, over)
  over.name, over.finders, over.listers = name, over.finders or {}, over.listers or {}
  return setmetatable(over, Collection)
end

-- ---- kinds that C indexes ----

local function same(found, field, value)
  return found and found[field] == value and found or nil
end

local function by_id(kind)
  return function(id)
    local ids = filled("ids:" .. kind, function(memo)
      memo.index = {}
      for index = 0, route.count(kind) - 1 do
        memo.index[route.id(kind, index)] = index
      end
    end).index
    return route.entity(kind, ids[id])
  end
end

--- services, routes, upstreams: C finds them by id and name.
function M.named(name, kind)
  local function finder(field)
    return function(value)
      return same(route.find(kind, value), field, value)
    end
  end
  return new(name, {
    count = function() return route.count(kind) end,
    at = function(_, i) return route.entity(kind, i - 1) end,
    finders = { id = finder("id"), name = finder("name") },
  })
end

function M.consumers(name)
  local function finder(field, custom)
    return function(value)
      return same(route.find_consumer(value, custom), field, value)
    end
  end
  return new(name, {
    count = function() return route.count("consumer") end,
    at = function(_, i) return route.entity("consumer", i - 1) end,
    finders = { id = finder("id"), username = finder("username"), custom_id = finder("custom_id", true) },
  })
end

function M.plugins(name)
  return new(name, {
    count = function() return route.count("plugin") end,
    at = function(_, i) return route.entity("plugin", i - 1) end,
    finders = { id = by_id("plugin") },
  })
end

-- Credentials of all kinds stand in one list: indexes by kind, and by kind and consumer.
local function credentials()
  return filled("credentials", function(memo)
    memo.of_kind, memo.of_consumer = {}, {}
    for index = 0, route.count("credential") - 1 do
      local _, kind, consumer = route.id("credential", index)
      local of_kind, of_consumer = memo.of_kind[kind] or {}, memo.of_consumer[kind] or {}
      memo.of_kind[kind], memo.of_consumer[kind] = of_kind, of_consumer
      of_kind[#of_kind + 1] = index
      of_consumer[consumer] = of_consumer[consumer] or {}
      table.insert(of_consumer[consumer], index)
    end
  end)
end

--- Credentials of one kind ("keyauth"), which C finds by `key`.
function M.credentials(name, kind, key)
  local function indexes()
    return credentials().of_kind[kind] or {}
  end
  local find_id = by_id("credential")
  local function of_consumer(id)
    local consumer, index = route.find_consumer(id)
    local list = same(consumer, "id", id) and (credentials().of_consumer[kind] or {})[index] or {}
    local out = {}
    for i, at in ipairs(list) do
      out[i] = route.entity("credential", at)
    end
    return out
  end
  return new(name, {
    count = function() return #indexes() end,
    at = function(_, i) return route.entity("credential", indexes()[i]) end,
    finders = {
      id = function(id)
        local found = find_id(id)
        return found and route.find_credential(kind, found[key]) == found and found or nil
      end,
      [key] = function(value) return (route.find_credential(kind, value)) end,
    },
    listers = { consumer = of_consumer },
  })
end

-- ---- lists ----

--- Kinds that the document holds for Lua alone.
function M.list(name)
  return new(name, {
    count = function() return #route.list(name) end,
    at = function(_, i) return route.list(name)[i] end,
  })
end

local function all_targets()
  return filled("targets", function(memo)
    memo.list = {}
    for index = 0, route.count("upstream") - 1 do
      local upstream = route.entity("upstream", index)
      for _, target in ipairs(upstream.targets or {}) do
        local copy = { upstream = { id = upstream.id } }
        for key, value in pairs(target) do
          copy[key] = value
        end
        copy.host, copy.port = nil, nil -- parts of `target`
        table.insert(memo.list, copy)
      end
    end
  end).list
end

function M.targets(name)
  return new(name, {
    count = function() return #all_targets() end,
    at = function(_, i) return all_targets()[i] end,
  })
end

return M
