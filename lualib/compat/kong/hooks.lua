-- The name guests know: require "kong.hooks": chains of functions at named points. The gateway itself has no such points:
-- what is registered runs when other guests call run_hook.

local pack = require("kong.tools.table").pack

local _M = {}

local chains = {} -- name -> list of {fn, low_level}

--- Adds a function to a point. A plain one is called with run_hook's arguments unless one before returned nil; with
-- options.low_level it gets the results so far ({n =, ...}, or nil at first) before them and returns such a table.
function _M.register_hook(name, fn, options)
  if type(name) ~= "string" or type(fn) ~= "function" then
    error("register_hook takes a name and a function", 2)
  end
  chains[name] = chains[name] or {}
  table.insert(chains[name], { fn = fn, low_level = options and options.low_level })
end

--- Calls the functions of a point; what the last of them returned, or run_hook's own arguments when there is none.
function _M.run_hook(name, ...)
  local chain = chains[name]
  if not chain then
    return ...
  end
  local results
  for _, hook in ipairs(chain) do
    if hook.low_level then
      results = hook.fn(results, ...)
    elseif not results or results[1] ~= nil then
      results = pack(hook.fn(...))
    end
  end
  return unpack(results, 1, results.n or #results)
end

function _M.clear_hooks()
  chains = {}
end

return _M
