-- An ordered list of named pieces of raw text, as a target of transform/rules: arguments of a query,
-- parts of a form, members of a JSON object. Pieces that no rule names keep their bytes and their order.
-- Not the parsers (arguments, multipart, json_object). Pure.
-- A kind gives: make(name, value) -> piece, rename(piece, new) -> piece, and, where a name can stand
-- once only, join(piece, value) -> piece (append to it). A piece has `name`.

local remove = table.remove

local List = {}
List.__index = List

-- items: array of pieces, taken.
function List.new(kind, items)
  return setmetatable({ kind = kind, items = items }, List)
end

local function find(self, name)
  for i, item in ipairs(self.items) do
    if item.name == name then
      return i
    end
  end
end

function List:has(name)
  return find(self, name) ~= nil
end

function List:remove(name)
  local items = self.items
  for i = #items, 1, -1 do
    if items[i].name == name then
      remove(items, i)
    end
  end
end

-- What already bears the new name gives way.
function List:rename(old, new)
  self:remove(new)
  for i, item in ipairs(self.items) do
    if item.name == old then
      self.items[i] = self.kind.rename(item, new)
    end
  end
end

-- The first one gets the value and the others go; a new one stands last.
function List:set(name, value)
  local items = self.items
  local at = find(self, name) or #items + 1
  items[at] = self.kind.make(name, value)
  for i = #items, at + 1, -1 do
    if items[i].name == name then
      remove(items, i)
    end
  end
end

function List:append(name, value)
  local items, join = self.items, self.kind.join
  local at = join and find(self, name)
  if at then
    items[at] = join(items[at], value)
  else
    items[#items + 1] = self.kind.make(name, value)
  end
end

return List
