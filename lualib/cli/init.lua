-- The subcommands that are Lua: `moongate test`, `moongate plugin new|check`. Called by C
-- (runtime/lua/program.c) as fn(program, command, arguments...) in a task that may wait.
-- Not the others: runtime/main.c. Invariant: program.done is called whatever happens.

local MODULES = {
  test = "moongate.cli.test",
  ["plugin new"] = "moongate.cli.plugin_new",
  ["plugin check"] = "moongate.cli.plugin_check",
}

local PLUGIN_HELP = [[
Usage: moongate plugin new NAME [DIR]     a plugin, its spec and a configuration to start from, in DIR (./NAME)
       moongate plugin check DIR          what is wrong with the plugins in DIR, before they run
]]

local function run(program, command, ...)
  local args = { ... }
  if command == "plugin" then
    command = "plugin " .. (table.remove(args, 1) or "")
  end
  local module = MODULES[command]
  if not module then
    local help = command == "plugin --help" or command == "plugin -h"
    local out = help and io.stdout or io.stderr
    out:write(PLUGIN_HELP)
    return help and 0 or 2
  end
  if not pcall(require, "lfs") then
    io.stderr:write("moongate: the Lua library lfs is missing (Debian: apt install lua-filesystem; lua-busted for specs)\n")
    return 1
  end
  return require(module)(program, args)
end

return function(program, ...)
  local ok, code = xpcall(run, debug.traceback, program, ...)
  if not ok then
    io.stderr:write("moongate: ", tostring(code), "\n")
  end
  io.stdout:flush()
  program.done(ok and code or 1)
end
