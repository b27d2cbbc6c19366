-- Stands for c.lua where there is no worker: while the configuration is loaded (config/guest.lua). Modules above load on
-- it; what they call in C refuses. Invariant: no C function that looks for a worker is reached.

local _M = {}

local WARN = 5

--- The table, with functions that refuse for its missing members.
function _M.refusing(members)
  return setmetatable(members, { __index = function(_, name)
    return function()
      error(("%s needs a running worker, and there is none while the configuration is loaded"):format(tostring(name)), 2)
    end
  end })
end

local function contract(share)
  local file = assert(io.open(share .. "/runtime/abi.h"))
  local text = file:read("*a")
  file:close()
  return (text:gsub("#pragma once", "", 1))
end

--- What c.lua returns, with moongate.native as its native.
function _M.c(share)
  local ffi = require("ffi")
  ffi.cdef(contract(share))
  return {
    native = require("moongate.native"), ffi = ffi, why = {}, state = {},
    C = _M.refusing({
      mg_log_wants = function(level) return level <= WARN and 1 or 0 end,
      mg_now = os.time, mg_mono = os.clock, mg_update_time = function() end,
    }),
    str = ffi.new("mg_str_t[1]"), str2 = ffi.new("mg_str_t[1]"), num = ffi.new("double[1]"),
    u32 = ffi.new("uint32_t[1]"), i32 = ffi.new("int32_t[1]"),
  }
end

return _M
