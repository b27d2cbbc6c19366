-- The gateway's error log as a table: what was logged since a mark. Lines are
-- `2026/11/23 00:00:50 [error] 4653#0: message`. Not what unit mode records (unit.lua).

local host = require "moongate.spec.host"

local _M = {}

local function path()
  return host.temporary("error.log")
end

-- Where the log ends now.
function _M.mark()
  local file = io.open(path(), "r")
  local at = file and file:seek("end") or 0
  if file then
    file:close()
  end
  return at
end

-- Entries since the mark: {level =, message =}.
function _M.since(mark)
  local out = {}
  local file = io.open(path(), "r")
  if not file then
    return out
  end
  file:seek("set", mark)
  for line in file:lines() do
    local level, text = line:match("%[(%l+)%] [%d#]+:%s(.*)$")
    out[#out + 1] = { level = level or "unknown", message = text or line }
  end
  file:close()
  return out
end

return _M
