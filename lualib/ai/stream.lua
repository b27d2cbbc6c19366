-- Runs a provider's stream through framer and translator: bytes in, the client's bytes out.
-- It is NOT on the path of same-format streams. A provider that answers a stream request with one
-- JSON document is replayed as a stream.
-- Invariant: after an error event nothing more is written, whatever the provider still sends.

local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"
local sse = require "moongate.ai.sse"

local DOCUMENT_MAX_BYTES = 8 * 1024 * 1024

local _M = {}
local methods = {}
local meta = { __index = methods }

-- translator: an object with translate, fail, finish, result; replay(translator, text) -> text is
-- used when the answer is a JSON document. max_bytes limits one event.
function _M.new(translator, replay, max_bytes)
  return setmetatable({
    translator = translator,
    replay = replay,
    framer = sse.new(max_bytes),
    pieces = nil, -- of a JSON document
    size = 0,
    decided = false, -- is it a document or a stream? Known at the first byte that is no space
  }, meta)
end

local function decide(self, bytes)
  local first = bytes:match("^[%s\239\187\191]*([^%s\239\187\191])")
  if first then
    self.decided = true
    if first == "{" or first == "[" then
      self.pieces = {}
    end
  end
end

local function drain(self)
  local out = {}
  while true do
    local name, data = self.framer:next()
    if not name then
      return table.concat(out)
    end
    out[#out + 1] = self.translator:translate(name, data)
  end
end

-- The last event may lack its blank line. One that was cut is no event.
local function drain_rest(self)
  self.framer:finish()
  local name, data = self.framer:next()
  if not name or data ~= "[DONE]" and not span.object(data) then
    return ""
  end
  return self.translator:translate(name, data)
end

-- The next bytes of the provider; returns what to send to the client now ("" for nothing).
function methods.feed(self, bytes)
  if not self.decided then
    decide(self, bytes)
  end
  if self.pieces then
    self.size = self.size + #bytes
    if self.size > DOCUMENT_MAX_BYTES then
      self.pieces = {}
      return self.translator:fail(json_text.quote("provider's answer is too large"))
    end
    self.pieces[#self.pieces + 1] = bytes
    return ""
  end
  local ok, err = self.framer:feed(bytes)
  local out = drain(self)
  if not ok then
    out = out .. self.translator:fail(json_text.quote("provider's " .. err))
  end
  return out
end

-- The provider has ended; returns the last bytes for the client.
function methods.finish(self)
  if self.pieces then
    local text = table.concat(self.pieces)
    local out = span.object(text) and self.replay(self.translator, text) or ""
    return out .. self.translator:finish()
  end
  return drain_rest(self) .. self.translator:finish()
end

-- See tap_result of the exchange.
function methods.result(self)
  return self.translator:result()
end

return _M
