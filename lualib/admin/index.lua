-- The entities of one kind, by id, by unique field, by reference and in the order of their ids (which is the order of pages).
-- Not what may be written (store.lua). Invariant: every index holds exactly the entities of by_id.

local json = require("moongate.util.json_encode")

local Index = {}
Index.__index = Index

function Index.new(row)
  local self = setmetatable({ row = row, by_id = {}, ids = {}, unique = {}, refs = {}, combined = {}, texts = {}, views = {} },
    Index)
  for field in pairs(row.unique) do
    self.unique[field] = {}
  end
  for field in pairs(row.foreign) do
    self.refs[field] = {}
  end
  return self
end

-- The first position in a sorted list whose id is not below `id`.
local function lower_bound(ids, id)
  local from, to = 1, #ids + 1
  while from < to do
    local middle = math.floor((from + to) / 2)
    if ids[middle] < id then
      from = middle + 1
    else
      to = middle
    end
  end
  return from
end

local function is_value(value)
  return value ~= nil and value ~= json.null
end

--- What of an entity must be unique together, as one text; nil when the kind has no such rule.
function Index:combination(entity)
  if not self.row.combined then
    return nil
  end
  local parts = {}
  for i, field in ipairs(self.row.combined) do
    local value = entity[field]
    parts[i] = is_value(value) and (type(value) == "table" and value.id or tostring(value)) or ""
  end
  return table.concat(parts, "\0")
end

local function link(self, entity, there)
  local id = entity.id
  for field, seen in pairs(self.unique) do
    if is_value(entity[field]) then
      seen[entity[field]] = there and id or nil
    end
  end
  for field, lists in pairs(self.refs) do
    local target = is_value(entity[field]) and entity[field].id
    if target then
      lists[target] = lists[target] or {}
      lists[target][id] = there
      if not next(lists[target]) then
        lists[target] = nil
      end
    end
  end
  local together = self:combination(entity)
  if together then
    self.combined[together] = there and id or nil
  end
end

--- Puts an entity in, in the place of the one with its id.
function Index:put(entity)
  local before = self.by_id[entity.id]
  if before then
    link(self, before, nil)
  else
    table.insert(self.ids, lower_bound(self.ids, entity.id), entity.id)
  end
  self.by_id[entity.id], self.texts[entity.id], self.views[entity.id] = entity, nil, nil
  link(self, entity, true)
end

function Index:remove(id)
  local entity = self.by_id[id]
  link(self, entity, nil)
  table.remove(self.ids, lower_bound(self.ids, id))
  self.by_id[id], self.texts[id], self.views[id] = nil, nil, nil
end

--- Many at once, into an empty index.
function Index:fill(list)
  for i, entity in ipairs(list) do
    self.by_id[entity.id], self.ids[i] = entity, entity.id
    link(self, entity, true)
  end
  table.sort(self.ids)
end

--- The entity as JSON, made once.
function Index:text(id)
  local text = self.texts[id]
  if not text then
    text = json.encode(self.by_id[id])
    self.texts[id] = text
  end
  return text
end

--- Ids that refer to a target by a field, sorted; all of them without a field.
function Index:ids_of(field, target)
  if not field then
    return self.ids
  end
  local out = {}
  for id in pairs(self.refs[field][target] or {}) do
    out[#out + 1] = id
  end
  table.sort(out)
  return out
end

--- Up to `size` entities after the id `after` (nil: from the start) that match(entity), and the id of the last when there are more.
function Index:page(ids, size, after, match)
  local out, at = {}, after and lower_bound(ids, after) or 1
  if after and ids[at] == after then
    at = at + 1
  end
  for i = at, #ids do
    local entity = self.by_id[ids[i]]
    if match(entity) then
      if #out == size then
        return out, out[size].id
      end
      out[#out + 1] = entity
    end
  end
  return out
end

return Index
