-- The subcommands that are Lua. Called by C (runtime/lua/program.c) as fn(program, command, arguments...) in a
-- task that may wait. Not the others: runtime/cli. Invariant: program.done is called whatever happens.

local MODULES = {
  test = "moongate.cli.test",
  ["plugin new"] = "moongate.cli.plugin_new",
  ["plugin check"] = "moongate.cli.plugin_check",
  ["plugins list"] = "moongate.cli.plugins_list",
  ["plugins schema"] = "moongate.cli.plugins_schema",
  ["vault get"] = "moongate.cli.vault_get",
  ["config diff"] = "moongate.cli.config_diff",
  ["config push"] = "moongate.cli.config_push",
  ["config nodes"] = "moongate.cli.config_nodes",
  handlers = "moongate.cli.handlers",
}

local NEED_LFS = { test = true, ["plugin new"] = true, ["plugin check"] = true }

local function run(program, command, ...)
  local args = { ... }
  if command == "plugin" then
    command = "plugin " .. (table.remove(args, 1) or "")
  end
  if NEED_LFS[command] and not pcall(require, "lfs") then
    io.stderr:write("moongate: the Lua library lfs is missing (Debian: apt install lua-filesystem; lua-busted for specs)\n")
    return 1
  end
  return require(MODULES[command])(program, args)
end

return function(program, ...)
  local ok, code = xpcall(run, debug.traceback, program, ...)
  if not ok then
    io.stderr:write("moongate: ", tostring(code), "\n")
  end
  io.stdout:flush()
  program.done(ok and code or 1)
end
