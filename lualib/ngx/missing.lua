-- Names of OpenResty's API that we do not have: calling one says so, instead of "attempt to call a
-- nil value".

local _M = {}

local NAMES = {
  "exec", "run_worker_thread", "get_raw_phase",
}

local function refuse(name)
  return function()
    error(name .. " is not supported by this gateway", 2)
  end
end

function _M.fill(ngx)
  for _, name in ipairs(NAMES) do
    if ngx[name] == nil then
      ngx[name] = refuse("ngx." .. name)
    end
  end
  ngx.location = {
    capture = refuse("ngx.location.capture"),
    capture_multi = refuse("ngx.location.capture_multi"),
  }
end

return _M
