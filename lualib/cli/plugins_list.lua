-- `moongate plugins list`: names (found by C), versions and priorities, in the order in which plugins run.

local handlers = require "moongate.runloop.handlers"

local function facts_of(name)
  local handler, err = handlers.get(name)
  if not handler then
    return { name = name, version = "-", priority = "-", rank = -math.huge, why = err:match("^[^\n]*") }
  end
  return { name = name, version = handler.VERSION, priority = handler.PRIORITY, rank = handler.PRIORITY }
end

return function(_, args)
  local list, code = {}, 0
  for i, name in ipairs(args) do
    list[i] = facts_of(name)
  end
  table.sort(list, function(a, b)
    if a.rank ~= b.rank then
      return a.rank > b.rank
    end
    return a.name > b.name
  end)
  io.stdout:write(("%-28s %-10s %s\n"):format("NAME", "VERSION", "PRIORITY"))
  for _, plugin in ipairs(list) do
    io.stdout:write(("%-28s %-10s %s\n"):format(plugin.name, plugin.version, plugin.priority))
    if plugin.why then
      io.stderr:write("moongate: ", plugin.why, "\n")
      code = 1
    end
  end
  return code
end
