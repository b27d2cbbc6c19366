-- Frames a text/event-stream for the cross-format path: bytes in any pieces -> events.
-- It is NOT used for streams that pass unchanged (those are tapped in C), and it knows no JSON.
-- Invariant: the events do not depend on where the input was cut. LF, CRLF and CR end a line;
-- bytes are never decoded, so a cut inside a UTF-8 sequence is harmless.

local concat = table.concat
local byte, find, sub = string.byte, string.find, string.sub

local EVENT_MAX_BYTES = 1024 * 1024
local BOM = "\239\187\191"

local _M = {}
local methods = {}
local meta = { __index = methods }

-- A framer; max_bytes limits one event (default 1 MiB).
function _M.new(max_bytes)
  return setmetatable({
    max_bytes = max_bytes or EVENT_MAX_BYTES,
    pieces = {}, -- the unfinished line
    lines = {}, -- data lines of the unfinished event
    name = nil, -- its event field
    held = 0, -- bytes in pieces and lines
    queue = {}, head = 1, tail = 0, -- finished events: name, data alternating
    skip_lf = false, -- the last byte was a CR that ended a line
    start = "", -- first bytes, until a BOM is ruled out; nil afterwards
    comments = 0,
  }, meta)
end

local function end_event(self)
  if #self.lines > 0 then
    local tail = self.tail
    self.queue[tail + 1] = self.name or "message"
    self.queue[tail + 2] = concat(self.lines, "\n")
    self.tail = tail + 2
    self.lines = {}
  end
  self.name = nil
  self.held = 0
end

local function end_line(self, line)
  if line == "" then
    return end_event(self)
  end
  local colon = find(line, ":", 1, true)
  if colon == 1 then
    self.comments = self.comments + 1
    self.held = self.held - #line
    return
  end
  local field = colon and sub(line, 1, colon - 1) or line
  if field == "data" then
    local from = colon and colon + 1 or #line + 1
    if byte(line, from) == 32 then
      from = from + 1
    end
    self.lines[#self.lines + 1] = sub(line, from)
  elseif field == "event" then
    self.name = sub(line, colon and colon + 1 or #line + 1):gsub("^ ", "")
  else -- id, retry and unknown fields mean nothing on this path
    self.held = self.held - #line
  end
end

local function take_start(self, chunk)
  local start = self.start .. chunk
  if #start < #BOM and sub(BOM, 1, #start) == start then
    self.start = start
    return nil
  end
  self.start = nil
  return sub(start, 1, #BOM) == BOM and sub(start, #BOM + 1) or start
end

-- Takes the next bytes. true, or nil, error once an event grew beyond the limit.
function methods.feed(self, chunk)
  if self.start then
    chunk = take_start(self, chunk)
  end
  if not chunk or chunk == "" then
    return true
  end
  local from = 1
  if self.skip_lf and byte(chunk, 1) == 10 then
    from = 2
  end
  self.skip_lf = false
  while from <= #chunk do
    local at = find(chunk, "[\r\n]", from)
    local piece = sub(chunk, from, (at or #chunk + 1) - 1)
    self.held = self.held + #piece
    if self.held > self.max_bytes then
      return nil, "event exceeds " .. self.max_bytes .. " bytes"
    end
    self.pieces[#self.pieces + 1] = piece
    if not at then
      break
    end
    local line = concat(self.pieces)
    self.pieces = {}
    end_line(self, line)
    from = at + 1
    if byte(chunk, at) == 13 then
      if from > #chunk then
        self.skip_lf = true
      elseif byte(chunk, from) == 10 then
        from = from + 1
      end
    end
  end
  return true
end

-- The next finished event: name ("message" when the stream named none), data; nil when none waits.
function methods.next(self)
  local head = self.head
  if head > self.tail then
    self.head, self.tail = 1, 0
    return nil
  end
  local name, data = self.queue[head], self.queue[head + 1]
  self.queue[head], self.queue[head + 1] = nil, nil
  self.head = head + 2
  return name, data
end

-- The input has ended: a last event without its blank line is still delivered.
function methods.finish(self)
  if self.start and self.start ~= "" then
    local rest = self.start
    self.start = nil
    self:feed(rest)
  end
  if #self.pieces > 0 then
    local line = concat(self.pieces)
    self.pieces = {}
    end_line(self, line)
  end
  end_event(self)
end

return _M
