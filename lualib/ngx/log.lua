-- ngx.log and print: one line to the error log, with the place in the source.

local node = require "moongate.abi.node"

local _M = {}

local NOTICE = 6

local function text_of(value)
  local kind = type(value)
  if kind == "string" then
    return value
  elseif kind == "userdata" and value == ngx.null then -- luacheck: ignore
    return "null"
  elseif kind == "table" then
    local meta = getmetatable(value)
    if not (meta and meta.__tostring) then
      error("bad argument to 'log' (expected table to have __tostring metamethod)", 4)
    end
  end
  return tostring(value)
end

local function write(level, ...)
  if not node.log_wants(level) then
    return
  end
  local parts = {}
  for i = 1, select("#", ...) do
    parts[i] = text_of((select(i, ...)))
  end
  local info = debug.getinfo(3, "Sln")
  local place = info and info.currentline > 0
    and ("%s:%d: %s"):format(info.short_src:match("[^/]*$"), info.currentline,
      info.name and info.name .. "(): " or "") or ""
  node.log(level, "[lua] " .. place .. table.concat(parts))
end

function _M.fill(ngx)
  function ngx.log(level, ...)
    if type(level) ~= "number" or level < 0 or level > 8 then
      error("bad log level", 2)
    end
    write(level, ...)
  end

  function print(...) -- luacheck: ignore
    write(NOTICE, ...)
  end
end

return _M
