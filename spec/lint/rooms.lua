-- Who may use whom, which library lives in which room, and how long a file may be.
--   luajit spec/lint/rooms.lua      from the repository's root; prints what is wrong, then the counts.
-- Not a parser: it reads `#include` lines and `require` calls.

local ROOMS = {
  base = "",
  io = "base",
  http = "base",
  config = "base http",
  core = "base io http config",
  lua = "base io http config core",
  cli = "base io http config core lua",
}
local HOMES = {
  { "uv.h", "io" },
  { "openssl/", "io" },
  { "ares.h", "io" },
  { "yaml.h", "config" },
  { "lua.h", "lua" },
  { "lualib.h", "lua" },
  { "lauxlib.h", "lua" },
  { "luajit.h", "lua" },
  { "luajit-2.1/", "lua" },
  { "llhttp.h", "spec" },
}
local LINES_MAX = 600

local passed, failed = 0, 0

local function files(command)
  local list, pipe = {}, assert(io.popen(command))
  for path in pipe:lines() do
    list[#list + 1] = path
  end
  pipe:close()
  return list
end

local function complain(path, number, text)
  failed = failed + 1
  print(("%s:%d: %s"):format(path, number, text))
end

local function may_use(room, other)
  return room == other or room == nil or ROOMS[room] == nil or (" " .. ROOMS[room] .. " "):find(" " .. other .. " ", 1, true)
end

local function check_include(path, number, room, name)
  local other = name:match("^(%w+)/")
  if ROOMS[other] and not may_use(room, other) then
    complain(path, number, ("room %s may not include %s"):format(room, name))
  end
  for _, home in ipairs(HOMES) do
    if name:sub(1, #home[1]) == home[1] and home[2] ~= room then
      complain(path, number, ("%s belongs to room %s"):format(name, home[2]))
    end
  end
end

local function check_c_line(path, number, line)
  local room = path:match("^runtime/(%w+)/")
  local name = line:match('^%s*#%s*include%s+[<"]([^>"]+)')
  if name then
    check_include(path, number, room or "main", name)
  end
end

local function check_lua_line(path, number, line)
  local name = line:match("require%s*%(?%s*[\"']([^\"']+)[\"']")
  if name == "ffi" and path:find("^lualib/") and not path:find("^lualib/abi/") or name == "ffi" and path:find("^plugins/") then
    complain(path, number, "only lualib/abi may require ffi")
  end
  local plugin, other = path:match("^plugins/([^/]+)/"), (name or ""):match("^kong%.plugins%.([^.]+)")
  if plugin and other and plugin ~= other then
    complain(path, number, ("plugin %s may not require plugin %s"):format(plugin, other))
  end
end

local function check(path, check_line)
  local before, number = failed, 0
  for line in io.lines(path) do
    number = number + 1
    check_line(path, number, line)
  end
  if number > LINES_MAX then
    complain(path, number, ("longer than %d lines: split it by noun"):format(LINES_MAX))
  end
  passed = passed + (failed == before and 1 or 0)
end

for _, path in ipairs(files("find runtime -name '*.[ch]'")) do
  check(path, check_c_line)
end
for _, path in ipairs(files("find lualib plugins -name '*.lua'")) do
  check(path, check_lua_line)
end
for _, path in ipairs(files("find spec -name '*.lua' -o -name '*.[ch]' | grep -v node_modules")) do
  check(path, function() end)
end

print(("rooms: %d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and 0 or 1)
