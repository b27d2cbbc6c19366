-- A fake name server on UDP: A, AAAA and SRV records that a spec may change at any time.
-- Not a resolver: no TCP, no EDNS, one question a message.

local sched = require("e2e.support.sched")
local socket = require("socket")

local Dns = {}
Dns.__index = Dns

local M = {}

local TYPES = { [1] = "A", [28] = "AAAA", [33] = "SRV" }
local NUMBERS = { A = 1, AAAA = 28, SRV = 33 }

local function u16(n)
  return string.char(math.floor(n / 256) % 256, n % 256)
end

local function name_bytes(name)
  return (name:gsub("%.$", ""):gsub("[^.]+%.?", function(label)
    label = label:gsub("%.$", "")
    return string.char(#label) .. label
  end)) .. "\0"
end

-- The name at byte `at`, and where it ends.
local function read_name(message, at)
  local labels = {}
  while message:byte(at) ~= 0 do
    local n = message:byte(at)
    labels[#labels + 1] = message:sub(at + 1, at + n)
    at = at + 1 + n
  end
  return table.concat(labels, "."):lower(), at + 1
end

local data = {}

function data.A(ip)
  return (ip:gsub("(%d+)%.?", function(n)
    return string.char(tonumber(n))
  end))
end

-- Only "::" and "::n" are written short.
function data.AAAA(ip)
  return ("\0"):rep(14) .. u16(tonumber(ip:match("^::(%x*)$"), 16) or 0)
end

-- {priority, weight, port, target}
function data.SRV(record)
  return u16(record[1]) .. u16(record[2]) .. u16(record[3]) .. name_bytes(record[4])
end

local function answer(self, message)
  local name, after = read_name(message, 13)
  local kind = TYPES[message:byte(after) * 256 + message:byte(after + 1)]
  local entry = self.zone[name]
  table.insert(self.questions, { name = name, type = kind })
  if self.silent == true or self.silent == kind then
    return nil
  end
  local records, out = entry and kind and entry[kind] or {}, {}
  for _, record in ipairs(records) do
    local bytes = data[kind](record)
    out[#out + 1] = "\192\12" .. u16(NUMBERS[kind]) .. "\0\1\0\0" .. u16(entry.ttl or 1) .. u16(#bytes) .. bytes
  end
  local code = entry and "\129\128" or "\129\131"
  return message:sub(1, 2) .. code .. "\0\1" .. u16(#out) .. "\0\0\0\0" .. message:sub(13, after + 3) .. table.concat(out)
end

-- zone: {["name"] = {A = {"127.0.0.1"}, SRV = {{priority, weight, port, target}}, ttl = seconds (1)}}. What is not in it
-- does not exist. self.silent: no answers (true), or none about
-- one type ("SRV"). self.questions: what was asked.
function M.start(zone)
  local self = setmetatable({ zone = zone or {}, questions = {} }, Dns)
  self.socket = assert(socket.udp4())
  assert(self.socket:setsockname("127.0.0.1", 0))
  self.socket:settimeout(0)
  self.address = "127.0.0.1:" .. select(2, self.socket:getsockname())
  self.task = sched.spawn(function()
    while not self.stopped do
      local message, ip, port = self.socket:receivefrom()
      if message then
        local reply = answer(self, message)
        if reply then
          self.socket:sendto(reply, ip, port)
        end
      else
        sched.readable(self.socket, 3600)
      end
    end
  end)
  return self
end

function Dns:stop()
  self.stopped = true
  sched.stop(self.task)
  self.socket:close()
end

return M
