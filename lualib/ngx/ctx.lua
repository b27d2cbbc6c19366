-- ngx.ctx, ngx.status, ngx.headers_sent, ngx.arg, ngx.is_subrequest, ngx.get_phase: what looks like
-- fields but belongs to the running request.

local exchange = require "moongate.abi.exchange"
local json = require "moongate.abi.json"
local phase = require "moongate.abi.phase"
local response = require "moongate.abi.response"
local route = require "moongate.abi.route"
local task = require "moongate.abi.task"
local node = require "moongate.abi.node"

local _M = {}

local ERR = 4

local PHASE_NAMES = {
  [phase.INIT_WORKER] = "init_worker", [phase.CERTIFICATE] = "ssl_cert",
  [phase.REWRITE] = "rewrite", [phase.ACCESS] = "access", [phase.BALANCER] = "balancer",
  [phase.RESPONSE] = "content", [phase.HEADER_FILTER] = "header_filter",
  [phase.BODY_FILTER] = "body_filter", [phase.TIMER] = "timer", [phase.LOG] = "log",
}

local function check_request(what)
  if not phase.has_request() then
    error(what .. ": API disabled in the context of " .. phase.context(phase.current()), 3)
  end
end

-- What Kong keeps in ngx.ctx and plugins read there. Nothing of it is stored: a plugin's own value of the name wins.
local FACTS = {
  authenticated_consumer = route.consumer,
  authenticated_credential = route.credential,
  route = route.route,
  service = route.service,
  workspace = function()
    return "default"
  end,
  balancer_data = function()
    local over = phase.current() == phase.LOG
    local tries = over and json.decode(node.serialize()).tries or {}
    if over and #tries == 0 then
      return nil -- it never went upstream
    end
    local last = tries[#tries] or {}
    return {
      scheme = exchange.https() and "https" or "http", host = exchange.host(), hostname = exchange.host(),
      ip = last.ip, port = last.port or exchange.port(), tries = tries, try_count = #tries,
    }
  end,
}

function task.CTX_META.__index(_, key)
  local get = FACTS[key]
  return get and phase.has_request() and get() or nil
end

local GETTERS = {
  ctx = function()
    if not task.exists() then
      error("no request ctx found", 3)
    end
    return task.get_ctx()
  end,
  status = function()
    check_request("ngx.status")
    return response.status() or 0
  end,
  headers_sent = function()
    check_request("ngx.headers_sent")
    return response.head_sent()
  end,
  is_subrequest = function()
    return false
  end,
}

local SETTERS = {
  ctx = function(value)
    if type(value) ~= "table" then
      error("ctx should be a table while getting a " .. type(value), 3)
    end
    task.set_ctx(value)
  end,
  status = function(value)
    check_request("ngx.status")
    local ok, err = response.set_status(tonumber(value) or 0)
    if not ok then
      node.log(ERR, err == "headers have already been sent"
        and "[lua] attempt to set ngx.status after sending out response headers"
        or "[lua] cannot set ngx.status: " .. tostring(err))
    end
  end,
}

local function flatten(value, out)
  if type(value) ~= "table" then
    out[#out + 1] = tostring(value)
    return out
  end
  for _, inner in ipairs(value) do
    flatten(inner, out)
  end
  return out
end

local function check_filter()
  if phase.current() ~= phase.BODY_FILTER then
    error("API disabled in the context of " .. phase.context(phase.current()), 3)
  end
end

local ARG = setmetatable({}, {
  __index = function(_, key)
    check_filter()
    local chunk, eof = response.chunk()
    if key == 1 then
      return chunk
    elseif key == 2 then
      return eof
    end
  end,
  __newindex = function(_, key, value)
    check_filter()
    if key == 1 then
      response.set_chunk(type(value) == "table" and table.concat(flatten(value, {}))
        or value ~= nil and tostring(value) or nil)
    elseif key == 2 then
      local chunk = response.chunk()
      response.set_chunk(chunk, value == true)
    end
  end,
  __metatable = false,
})

function _M.fill(ngx)
  ngx.arg = ARG
  function ngx.get_phase()
    local number = phase.current()
    return PHASE_NAMES[number] or "init"
  end
  setmetatable(ngx, {
    __index = function(_, key)
      local get = GETTERS[key]
      return get and get()
    end,
    __newindex = function(t, key, value)
      local set = SETTERS[key]
      if set then
        set(value)
      else
        rawset(t, key, value)
      end
    end,
  })
end

return _M
