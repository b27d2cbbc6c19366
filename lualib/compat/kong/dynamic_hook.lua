-- The name guests know: require "kong.dynamic_hook": functions called at named points, in groups that are off until
-- something enables them for good or for one request. Nothing of the gateway itself calls run_hook.

local ngx = require("moongate.ngx")
local phase = require("moongate.abi.phase")

local _M = { TYPE = { BEFORE = 1, AFTER = 2, BEFORE_MUT = 3, AFTER_MUT = 4 } }

local KEY = "moongate.dynamic_hook" -- in ngx.ctx: the groups of this request

local hooks = {}  -- group -> name -> function
local always = {} -- group -> true

local function check(group, name, fn)
  if type(group) ~= "string" or type(name) ~= "string" then
    error("the names of a group and of a hook must be strings", 3)
  elseif type(fn) ~= "function" then
    error("a hook must be a function", 3)
  end
end

--- Sets the function of a point; a later one takes its place.
function _M.hook(group, name, fn)
  check(group, name, fn)
  hooks[group] = hooks[group] or {}
  hooks[group][name] = fn
end

function _M.is_group_enabled(group)
  if always[group] then
    return true
  end
  local enabled = phase.has_request() and ngx.ctx[KEY]
  return enabled and enabled[group] == true or false
end

function _M.enable_by_default(group)
  always[group] = true
end

function _M.enable_on_this_request(group)
  local ctx = ngx.ctx
  ctx[KEY] = ctx[KEY] or {}
  ctx[KEY][group] = true
end

local function log_failure(group, name, ok, ...)
  if not ok then
    ngx.log(ngx.WARN, "failed to run the hook ", name, " of ", group, ": ", (...))
  end
end

--- Calls the function of a point, if there is one and its group is enabled. What it raises is logged.
function _M.run_hook(group, name, ...)
  local fn = hooks[group] and hooks[group][name]
  if fn and _M.is_group_enabled(group) then
    log_failure(group, name, pcall(fn, ...))
  end
end

local function call_all(list, group, ...)
  for i, fn in ipairs(list or {}) do
    log_failure(group, i, pcall(fn, ...))
  end
end

local function after(handlers, group, ...)
  call_all(handlers.afters, group, ...)
  return ...
end

--- Wraps parent[key]: while the group is enabled, handlers.befores and handlers.afters (lists) are called around it.
function _M.hook_function(group, parent, key, _, handlers)
  local original = parent[key]
  check(group, tostring(key), original)
  parent[key] = function(...)
    if not _M.is_group_enabled(group) then
      return original(...)
    end
    call_all(handlers.befores, group, ...)
    return after(handlers, group, original(...))
  end
end

return _M
