-- kong.dns: names to addresses, by the worker's resolver and its cache (settings dns_servers ...).
-- Not needed for sockets and upstreams: those resolve names themselves.
-- Invariant: a name that is known is answered at once, in every phase.

local phase = require("moongate.abi.phase")
local wait = require("moongate.abi.wait")
local cidr = require("moongate.pdk.cidr")

local _M = { TYPE_A = 1, TYPE_AAAA = 28, TYPE_SRV = 33, TYPE_LAST = -1 }

local turn = 0 -- which of several equal records is next

local function look_up(name, srv)
  if not phase.may_wait() then
    local ok, answers, err = pcall(wait.dns_lookup, name, srv)
    if not ok then
      return nil, "dns client error: the name is not known yet, and this phase cannot wait for it"
    end
    return answers, err
  end
  return wait.dns_lookup(name, srv)
end

local function check_name(name, what, level)
  if type(name) ~= "string" or name == "" then
    error(what .. " must be a non-empty string", level + 1)
  end
end

-- The services of the lowest priority number, the next of them by turns.
local function next_service(answers)
  local best = {}
  for _, answer in ipairs(answers) do
    if not best[1] or answer.priority < best[1].priority then
      best = { answer }
    elseif answer.priority == best[1].priority then
      best[#best + 1] = answer
    end
  end
  turn = turn + 1
  return best[turn % #best + 1]
end

--- The records of a name: { { type = 1, address = "10.0.0.1", ttl = 30 }, ... }; with options.qtype = kong.dns.TYPE_SRV its
-- services: { type = 33, target, port, priority, weight, ttl }. Waits when they are not known.
-- All phases. Returns an array, or nil and why ("dns client error: 3 name error").
function _M.resolve(name, options)
  check_name(name, "name", 2)
  return look_up(name, type(options) == "table" and options.qtype == _M.TYPE_SRV)
end

--- One address of a name, by turns when it has several; a name of the form _service._tcp.domain gives the port too.
-- All phases. port: what is returned when the name says none. Returns address, port; or nil and why.
-- Example: local ip, port = kong.dns.toip("redis.internal", 6379)
function _M.toip(name, port)
  check_name(name, "name", 2)
  if cidr.address(name) then
    return name, port
  end
  local srv = name:find("^_[^.]+%._[^.]+%.") ~= nil
  local answers, err = look_up(name, srv)
  if not answers then
    return nil, err
  elseif srv then
    local service = next_service(answers)
    return _M.toip(service.target, service.port)
  end
  turn = turn + 1
  return answers[turn % #answers + 1].address, port
end

return _M
