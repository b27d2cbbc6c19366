-- Which phase runs, and the check that gives a misplaced call its own sentence.
-- Not the order of phases (runloop). Numbers are Kong's.

local bit = require "bit"
local c = require "moongate.abi.c"

local band, state = bit.band, c.state

local _M = {
  INIT_WORKER = 0x0001,
  CERTIFICATE = 0x0002,
  REWRITE = 0x0010,
  ACCESS = 0x0020,
  BALANCER = 0x0040,
  RESPONSE = 0x0080,
  HEADER_FILTER = 0x0200,
  BODY_FILTER = 0x0400,
  TIMER = 0x1000,
  LOG = 0x2000,
}

local ORDER = {
  "init_worker", "certificate", "rewrite", "access", "balancer", "response", "header_filter",
  "body_filter", "timer", "log",
}

local NAMES, BITS = {}, {}
for _, name in ipairs(ORDER) do
  local number = _M[name:upper()]
  NAMES[number], BITS[name] = name, number
end

-- PHASE_* of what runs now; 0 in a main chunk.
function _M.current()
  return state.phase
end

-- "access" for 0x20; "init" for 0.
function _M.name(number)
  return NAMES[number] or "init"
end

-- As OpenResty names where code runs, in its errors: "log_by_lua*".
function _M.context(number)
  if number == _M.TIMER then
    return "ngx.timer"
  elseif number == _M.CERTIFICATE then
    return "ssl_certificate_by_lua*"
  end
  return _M.name(number) .. "_by_lua*"
end

-- The number of a name, or nil.
function _M.number(name)
  return BITS[name]
end

-- The names of the phases in a mask, in the order they run, as Kong prints them.
function _M.names(mask)
  local out = {}
  for _, name in ipairs(ORDER) do
    if band(mask, BITS[name]) ~= 0 then
      out[#out + 1] = name
    end
  end
  return table.concat(out, ", ")
end

-- The name of a function for messages, or nil; whoever publishes functions replaces it.
function _M.name_of()
end

-- The sentence is Kong's; the name after it is ours.
local function refuse(mask, level)
  local name = _M.name_of(debug.getinfo(level + 1, "f").func)
  error(("function cannot be called in %s phase (only in: %s)%s"):format(_M.name(state.phase),
    _M.names(mask), name and ": " .. name or ""), level + 2)
end

-- Raises unless the current phase is in `mask`. The error blames the caller of the function that
-- calls check (level 2), or one further up.
function _M.check(mask, level)
  if band(mask, state.phase) == 0 then
    refuse(mask, type(level) == "number" and level or 2)
  end
end

-- Is there a request (false in timers, init_worker, main chunks)?
function _M.has_request()
  return state.has_request ~= 0
end

-- May the current code wait (sleep, sockets)?
function _M.may_wait()
  return state.may_wait ~= 0
end

return _M
