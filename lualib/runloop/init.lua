-- What C asks of the plugins' world: install a generation (load handlers, order them), start what
-- is new (init_worker, configure), compile a route's chains on first use.
-- Not the chains themselves (plan.lua).

local code = require "moongate.runloop.code"
local conf = require "moongate.runloop.conf"
local handlers = require "moongate.runloop.handlers"
local plan = require "moongate.runloop.plan"
local route = require "moongate.abi.route"
local task = require "moongate.abi.task"
local native = require("moongate.abi.c").native

local _M = {}

local LOG_ERR = 4

local started = {}  -- name -> true once init_worker ran
local configured = {} -- name -> record of a plugin whose last configure() got configurations
local pending       -- the generation that start() is for
local is_following  -- once remote.follow was started
local on_error      -- set on first use: boot.lua's

local function load_records()
  local by_name, names = {}, {}
  for index = 0, route.count("plugin") - 1 do
    local record = native.plugin(index)
    record.index = index
    if record.enabled then
      local list = by_name[record.name]
      if not list then
        list = {}
        by_name[record.name] = list
        names[#names + 1] = record.name
      end
      list[#list + 1] = record
    end
  end
  return by_name, names
end

-- Higher PRIORITY first; equal ones by name, descending, as Kong does.
local function sort_by_priority(names, by_name)
  table.sort(names, function(a, b)
    local priority_a, priority_b = by_name[a][1].handler.PRIORITY, by_name[b][1].handler.PRIORITY
    if priority_a ~= priority_b then
      return priority_a > priority_b
    end
    return a > b
  end)
end

local function prepare()
  code.use()
  local by_name, names = load_records()
  local problems, phases = {}, {}
  for _, name in ipairs(names) do
    local handler, err = handlers.get(name)
    if handler then
      phases[name] = handlers.phases(handler)
      for _, record in ipairs(by_name[name]) do
        record.handler = handler
      end
    else
      problems[#problems + 1] = err
    end
  end
  if #problems > 0 then
    error(table.concat(problems, "\n"), 0)
  end
  sort_by_priority(names, by_name)
  return {
    by_name = by_name,
    order = names,
    phases = phases,
  }
end

-- The next generation loads its plugins anew and runs their init_worker: for specs.
function _M.forget_plugins()
  handlers.forget()
  started, configured = {}, {}
end

-- Called by C with the generation's number. {phases = {name = mask}, certificate, access, response,
-- header_filter, body_filter, log = chains by route index + 1, compile(index + 1), forget()}, or
-- nil, why.
function _M.install(number)
  local ok, generation = pcall(prepare)
  if not ok then
    return nil, generation
  end
  local routes = route.count("route")
  local out = {
    phases = generation.phases,
    certificate = {}, access = {}, balancer = {}, response = {}, header_filter = {}, body_filter = {},
    log = {},
  }
  on_error = on_error or _M.on_error
  function out.compile(at)
    local chains = plan.build(generation, at <= routes and at - 1 or nil, on_error)
    for name, chain in pairs(chains) do
      out[name][at] = chain
    end
  end
  function out.forget()
    route.forget(number)
  end
  pending = generation
  return out
end

local function guarded(record, name, fn, ...)
  task.set_current(record)
  local ok, err = xpcall(fn, _M.on_error, ...)
  task.set_current(nil)
  if not ok then
    native.log(LOG_ERR, ("[lua] plugin \"%s\", %s: %s"):format(record.name, name, err))
  end
end

-- configure(configs) of every plugin in use; configure(nil) of those that no configuration uses any more.
local function configure(generation)
  local gone = configured
  configured = {}
  for _, name in ipairs(generation.order) do
    local list = generation.by_name[name]
    local handler = list[1].handler
    if handler.configure then
      local all = {}
      for i, record in ipairs(list) do
        all[i] = conf.get(record)
      end
      configured[name], gone[name] = list[1], nil
      guarded(list[1], "configure", handler.configure, handler, all)
    end
  end
  for _, record in pairs(gone) do
    guarded(record, "configure", record.handler.configure, record.handler, nil)
  end
end

-- Called by C in a task of its own, after install: init_worker of what is new, configure of all.
function _M.start()
  if not is_following then
    is_following = true
    require("moongate.remote.follow").start()
  end
  local generation = pending
  pending = nil
  for _, name in ipairs(generation.order) do
    local record = generation.by_name[name][1]
    if not started[name] then
      started[name] = true
      if record.handler.init_worker then
        guarded(record, "init_worker", record.handler.init_worker, record.handler)
      end
    end
  end
  configure(generation)
end

return _M
