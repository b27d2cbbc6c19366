-- The name guests know: require "kong.llm.plugin.base": an AI plugin made of filters: {NAME, STAGE, run(self, conf)}. Each
-- stage belongs to a phase; a filter runs once in a request, though several plugins may enable it.

local deflate = require("kong.tools.gzip").deflate_gzip
local kong = require("moongate.pdk")
local ngx = require("moongate.ngx")
local llm_ctx = require("kong.llm.plugin.ctx")

local _M = {
  STAGES = {
    SETUP = 0, REQ_INTROSPECTION = 1, REQ_TRANSFORMATION = 2, REQ_POST_PROCESSING = 3, RES_INTROSPECTION = 4,
    RES_TRANSFORMATION = 5, STREAMING = 6, RES_PRE_PROCESSING = 7, RES_POST_PROCESSING = 8,
  },
}

local STAGES = _M.STAGES
local EXECUTED = "ai_executed_filters"

local registered = {} -- NAME -> filter
local Plugin = {}
Plugin.__index = Plugin

local global = llm_ctx.get_global_accessors("_base")

local function refuse(filter, err)
  kong.log.err("error running filter '", filter.NAME, "': ", err)
  local phase = ngx.get_phase()
  if phase == "access" or phase == "header_filter" then
    return kong.response.exit(500)
  end
  return ngx.exit(500)
end

local function executed()
  local out = ngx.ctx[EXECUTED]
  if not out then
    out = {}
    ngx.ctx[EXECUTED] = out
  end
  return out
end

-- Runs the plugin's filters of a stage that have not run yet; STREAMING's run for each piece of the body.
local function run(plugin, stage, conf)
  for _, filter in ipairs(plugin.filters[STAGES[stage]] or {}) do
    local done = stage ~= "SETUP" and executed() or {}
    if not done[filter.NAME] or stage == "STREAMING" then
      done[filter.NAME] = true
      local ok, err = filter:run(conf)
      if not ok then
        return refuse(filter, err)
      end
    end
  end
end

local function run_all(plugin, stages, conf)
  for _, stage in ipairs(stages) do
    run(plugin, stage, conf)
  end
end

-- A whole body that a filter has made goes out instead of what came, once.
local function send_body(plugin, conf, body, source)
  run(plugin, "RES_PRE_PROCESSING", conf)
  ngx.arg[1] = global("accept_gzip") and deflate(body) or body
  ngx.arg[2] = true
  ngx.ctx.ai_last_sent_response_source = source
end

local function body_filter(plugin, conf)
  if global("response_body_sent") then
    return
  end
  local body, source = global("response_body")
  if body and not global("stream_mode") and source ~= ngx.ctx.ai_last_sent_response_source then
    return send_body(plugin, conf, body, source)
  end
  run(plugin, "STREAMING", conf)
  if ngx.arg[2] then
    run(plugin, "RES_PRE_PROCESSING", conf)
  end
end

-- phase -> its stages.
local PHASES = {
  access = { "REQ_INTROSPECTION", "REQ_TRANSFORMATION" },
  header_filter = { "REQ_POST_PROCESSING", "RES_INTROSPECTION", "RES_TRANSFORMATION" },
  log = { "RES_POST_PROCESSING" },
}

--- A plugin of that name and priority, without filters.
function _M.define(name, priority)
  return setmetatable({ name = name, priority = priority, filters = {}, register_filter = _M.register_filter }, Plugin)
end

--- Makes a filter known; the one registered first under its name is returned.
function _M.register_filter(filter)
  if type(filter) ~= "table" or type(filter.run) ~= "function" then
    error("expected a filter with a 'run' method", 2)
  elseif not filter.STAGE or not STAGES[filter.STAGE] then
    error("expected a filter with a 'STAGE' that is known, not " .. tostring(filter.STAGE), 2)
  elseif not filter.NAME then
    error("expected a filter with a 'NAME' property", 2)
  end
  registered[filter.NAME] = registered[filter.NAME] or filter
  return registered[filter.NAME]
end

function _M.has_filter_executed(name)
  local done = ngx.ctx[EXECUTED]
  return done and done[name]
end

--- Adds a registered filter to the plugin's stage.
function Plugin:enable(filter)
  if type(filter) ~= "table" or not registered[filter.NAME] then
    error("unregistered filter: " .. tostring(type(filter) == "table" and filter.NAME or filter), 2)
  end
  local stage = STAGES[filter.STAGE]
  self.filters[stage] = self.filters[stage] or {}
  table.insert(self.filters[stage], registered[filter.NAME])
end

--- Of no effect: targets are tried again by the gateway, with the same body.
function Plugin:enable_balancer_retry()
  self.balancer_retry_enabled = true
end

local function has_any(plugin, stages)
  for _, stage in ipairs(stages) do
    if plugin.filters[STAGES[stage]] then
      return true
    end
  end
  return false
end

--- The handler.
function Plugin:as_kong_plugin()
  local handler = { PRIORITY = self.priority, VERSION = require("kong.meta").version }
  for phase, stages in pairs(PHASES) do
    handler[phase] = has_any(self, stages) and function(_, conf)
      run_all(self, stages, conf)
    end or nil
  end
  if self.filters[STAGES.STREAMING] then
    handler.body_filter = function(_, conf)
      body_filter(self, conf)
    end
  end
  if self.filters[STAGES.SETUP] then
    handler.init_worker = function()
      run(self, "SETUP")
    end
    handler.configure = function(_, configs)
      run(self, "SETUP", configs)
    end
  end
  return handler
end

return _M
