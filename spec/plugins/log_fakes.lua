-- What log plugins send with, faked: the queue keeps entries, stream and http keep what they are told to send.
-- Invariant: close() takes every fake away again.

local M = {}

local NAMES = { "queue", "log.stream", "http.client", "pdk.log_record" }

-- self.entries: {{params, handler, conf, entry}}; self.sent: {{kind, where, what}}; self.fails: an error for all sending.
function M.open()
  local self = { entries = {}, sent = {} }
  local function sends(kind)
    return function(where, what)
      self.sent[#self.sent + 1] = { kind, where, what }
      return not self.fails or nil, self.fails
    end
  end
  package.loaded["moongate.queue"] = {
    get_plugin_params = function(plugin, conf, name, options)
      return { name = plugin .. ":" .. (name or "id"), options = conf.queue or options }
    end,
    enqueue = function(...) self.entries[#self.entries + 1] = { ... } return true end,
  }
  package.loaded["moongate.log.stream"] = {
    tcp = sends("tcp"), udp = sends("udp"), fits_datagram = function(text) return #text <= (self.datagram_max or 65507) end,
  }
  package.loaded["moongate.http.client"] = { request = function(opts)
    self.sent[#self.sent + 1] = { "http", opts.url, opts }
    return self.answer, self.fails
  end }
  package.loaded["moongate.pdk.log_record"] = { text = function() return self.record or '{"a":1}' end }
  return self
end

-- Hands the last entry to its handler, as the queue would.
function M.deliver(self)
  local last = self.entries[#self.entries]
  return last[2](last[3], { last[4] })
end

function M.close()
  for _, name in ipairs(NAMES) do
    package.loaded["moongate." .. name] = nil
  end
end

return M
