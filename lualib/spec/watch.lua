-- `moongate test --watch`: runs the suite in a process of its own, again whenever a Lua or YAML file below the
-- working directory has changed. Ends with Ctrl-C.

local lfs = require "lfs"
local node = require "moongate.abi.node"

local _M = {}

local LOOK_S = 0.3

-- A number that changes when a file below `dir` does.
local function stamp(dir, depth)
  local sum = 0
  for name in lfs.dir(dir) do
    local path = dir .. "/" .. name
    local attributes = name:sub(1, 1) ~= "." and lfs.attributes(path)
    if attributes and attributes.mode == "directory" and depth > 0 then
      sum = sum + stamp(path, depth - 1)
    elseif attributes and name:find("%.lua$") or name:find("%.ya?ml$") then
      sum = sum + attributes.modification * 7 + attributes.size
    end
  end
  return sum
end

local function command(args)
  local parts = { "/proc/" .. node.worker_pid() .. "/exe", "test" }
  for _, arg in ipairs(args) do
    if arg ~= "--watch" then
      parts[#parts + 1] = "'" .. arg:gsub("'", "'\\''") .. "'"
    end
  end
  return table.concat(parts, " ")
end

-- Runs until the process is ended.
function _M.run(_, args)
  local line = command(args)
  while true do
    local before = stamp(".", 8)
    io.stdout:flush()
    os.execute(line)
    io.stdout:write("\nwatching ", lfs.currentdir(), " (Ctrl-C ends it)\n")
    io.stdout:flush()
    while stamp(".", 8) == before do
      ngx.sleep(LOOK_S)
    end
  end
end

return _M
