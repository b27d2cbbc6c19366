-- What one worker tells the others, through shared memory: short texts, numbered, read by whoever looks.
-- Not who looks when (cache_shared.lua, events.lua). Invariant: what was published before a look is seen by it, or
-- the look says that something was missed.

local shdict = require("moongate.abi.shdict")

local M = {}

local KEEP_S = 60     -- how long a text can be read
local MAX = 1000      -- more at once counts as missed

local News = {}
News.__index = News

local function last(self)
  return shdict.get(self.dict, self.id .. ":last") or 0
end

--- Publishes a text. The publisher does not read it again, unless others published meanwhile.
function News:publish(text)
  if not self.dict then
    return
  end
  local number = shdict.incr(self.dict, self.id .. ":last", 1, 0)
  if number then
    shdict.set(self.dict, self.id .. ":" .. number, text, KEEP_S)
    self.seen = number == self.seen + 1 and number or self.seen
  end
end

--- Calls each(text) for what was published since the last look. false: some of it is gone.
function News:read(each)
  if not self.dict then
    return true
  end
  local from, to = self.seen + 1, last(self)
  self.seen = to
  if to < from - 1 or to - from >= MAX then
    return false
  end
  for number = from, to do
    local text = shdict.get(self.dict, self.id .. ":" .. number)
    if text == nil then
      return false
    end
    each(text)
  end
  return true
end

--- id: tells different news apart; the same in all workers.
function M.new(id)
  local self = setmetatable({ id = id, dict = shdict.find("kong_cluster_events"), seen = 0 }, News)
  self.seen = self.dict and last(self) or 0
  return self
end

return M
