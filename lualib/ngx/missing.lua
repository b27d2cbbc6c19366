-- Names of OpenResty's API that we do not have: calling one says so, instead of "attempt to call a
-- nil value".

local _M = {}

local NAMES = { "exec", "run_worker_thread", "get_raw_phase" }

local LOCATION = "there are no subrequests; ask over ngx.socket.tcp or a client library"

-- A function that raises: name, that it is not there and, if known, what to do instead.
local function refuse(name, instead)
  return function()
    error(name .. " is not supported by this gateway" .. (instead and ": " .. instead or ""), 2)
  end
end

_M.refuse = refuse

-- A module whose functions all refuse. names: "a b c".
function _M.module(module, names, instead)
  local out = {}
  for name in names:gmatch("%S+") do
    out[name] = refuse(module .. "." .. name, instead)
  end
  return out
end

function _M.fill(ngx)
  for _, name in ipairs(NAMES) do
    if ngx[name] == nil then
      ngx[name] = refuse("ngx." .. name)
    end
  end
  ngx.location = {
    capture = refuse("ngx.location.capture", LOCATION),
    capture_multi = refuse("ngx.location.capture_multi", LOCATION),
  }
end

return _M
