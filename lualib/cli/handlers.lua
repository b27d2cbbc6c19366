-- For `moongate config validate`: loads the handlers of the named plugins as a worker does.
-- args: the file that takes the problems, then names of plugins. Not a check of style (plugin_check.lua).

local handlers = require "moongate.runloop.handlers"

return function(_, args)
  local out = assert(io.open(args[1], "w"))
  local code = 0
  for i = 2, #args do
    local handler, err = handlers.get(args[i])
    if not handler then
      out:write((err:gsub("\nstack traceback:.*$", "")), "\n")
      code = 1
    end
  end
  out:close()
  return code
end
