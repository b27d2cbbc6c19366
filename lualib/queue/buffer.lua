-- A bounded first-in first-out list of entries: so many entries, so many bytes; what does not fit
-- pushes the oldest out. Not the sending of them (queue/init.lua).
-- Invariant: `n` entries lie at first .. last, `bytes` is the sum of their sizes.

local Buffer = {}
Buffer.__index = Buffer

local _M = {}

-- An empty buffer.
function _M.new()
  return setmetatable({ entries = {}, sizes = {}, first = 1, last = 0, n = 0, bytes = 0 }, Buffer)
end

local function shift(self)
  local at = self.first
  local entry = self.entries[at]
  self.n, self.bytes = self.n - 1, self.bytes - self.sizes[at]
  self.entries[at], self.sizes[at] = nil, nil
  self.first = at + 1
  return entry
end

-- Appends an entry of that size (0: unknown). max_bytes nil: no limit. Returns how many old ones were dropped.
-- The caller has seen to it that size <= max_bytes and max_entries >= 1.
function Buffer:push(entry, size, max_entries, max_bytes)
  local dropped = 0
  while self.n > 0 and (self.n + 1 > max_entries or (max_bytes and self.bytes + size > max_bytes)) do
    shift(self)
    dropped = dropped + 1
  end
  self.last = self.last + 1
  self.entries[self.last], self.sizes[self.last] = entry, size
  self.n, self.bytes = self.n + 1, self.bytes + size
  return dropped
end

-- The oldest entries, up to `max`, as an array; they are taken out.
function Buffer:take(max)
  local batch = {}
  for i = 1, math.min(max, self.n) do
    batch[i] = shift(self)
  end
  return batch
end

return _M
