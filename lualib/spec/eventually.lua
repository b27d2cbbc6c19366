-- assert.eventually(fn).is_truthy(): asks again until it holds. Also is_falsy, has_error, has_no_error;
-- before it may stand with_timeout(seconds), with_step(seconds), with_max_tries(n), ignore_exceptions(true).
-- Not wait_until of helpers.lua. Invariant: without `eventually` luassert's assertions are as they were.

local assert = require "luassert"

local _M = {}

local TIMEOUT_S, STEP_S = 5, 0.05

local function option(name)
  assert:register("modifier", name, function(state, arguments)
    rawset(state, name, arguments[1])
    return state
  end)
end

-- Calls the function of `eventually` until test(ok, value) is what the assertion wants; the last outcome.
local function poll(state, arguments, test)
  local fn, tries = rawget(state, "eventually"), 0
  local ends = ngx.now() + (rawget(state, "with_timeout") or TIMEOUT_S)
  while true do
    tries = tries + 1
    local ok, value = pcall(fn)
    local holds = test(ok, value)
    if not ok and not rawget(state, "ignore_exceptions") and test == _M.truth then
      error(value, 0)
    elseif holds == state.mod then
      return holds
    end
    ngx.update_time()
    if ngx.now() >= ends or tries == rawget(state, "with_max_tries") then
      arguments[1], arguments.n = value, 1
      return holds
    end
    ngx.sleep(rawget(state, "with_step") or STEP_S)
  end
end

function _M.truth(ok, value)
  return ok and value ~= nil and value ~= false
end

local function is_falsy(ok, value)
  return ok and not value
end

local function raises(ok)
  return not ok
end

local made = setmetatable({}, { __mode = "k" })

-- An assertion of luassert's that polls after `eventually`.
local function extend(name, test, plain)
  if made[plain] then
    return -- registered before
  end
  local function polling(state, arguments, level)
    if rawget(state, "eventually") then
      return poll(state, arguments, test)
    end
    return plain(state, arguments, level)
  end
  made[polling] = true
  local message = "assertion." .. (name == "errors" and "error" or name)
  assert:register("assertion", name, polling, message .. ".positive", message .. ".negative")
end

function _M.register()
  for _, name in ipairs({ "eventually", "with_timeout", "with_step", "with_max_tries", "ignore_exceptions" }) do
    option(name)
  end
  local namespace = require("luassert.namespaces").assertion
  for name, test in pairs({ truthy = _M.truth, falsy = is_falsy, error = raises, errors = raises }) do
    extend(name, test, namespace[name].callback)
  end
end

return _M
