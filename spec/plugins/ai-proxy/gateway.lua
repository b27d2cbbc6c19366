-- A gateway for handler specs: the globals `kong` and `ngx` and a fake exchange, for one request.
-- It is NOT a PDK: only what ai-proxy calls, each function in a line or two.
-- Invariant: a fresh handler is loaded for every request, so nothing leaks between specs.

local fake_exchange = require "lualib.ai.fake_exchange"

local _M = {}

local function request_of(spec)
  local headers = {}
  for name, value in pairs(spec.headers or { ["content-type"] = "application/json" }) do
    headers[name:lower()] = value
  end
  return {
    get_header = function(name) return headers[name:lower()] end,
    get_query_arg = function(name) return (spec.query or ""):match(name .. "=([^&]*)") end,
    get_raw_query = function() return spec.query or "" end,
    get_raw_body = function() return spec.body end,
    get_uri_captures = function() return { named = spec.captures or {}, unnamed = {} } end,
  }
end

local function kong_of(self, spec)
  local answer = spec.answer or { status = 200 }
  return {
    request = request_of(spec),
    ctx = { plugin = {}, shared = {} },
    plugin = { get_id = function() return "plugin-1" end },
    log = {
      info = function() end,
      err = function() self.errors = (self.errors or 0) + 1 end,
      set_serialize_value = function(name, value) self.logged[name] = value end,
    },
    service = {
      request = {
        set_header = function(name, value) self.sent[name:lower()] = value end,
        clear_header = function(name) self.unsent[name:lower()] = true end,
      },
      response = {
        get_status = function() return answer.status end,
        get_header = function(name) return (answer.headers or {})[name] end,
        get_raw_body = function() return answer.body end,
      },
    },
    response = {
      get_source = function() return answer.source or "service" end,
      set_header = function(name, value) self.headers[name] = value end,
      clear_header = function(name) self.cleared[name] = true end,
      exit = function(status, body, headers)
        self.exited = { status = status, body = body, headers = headers }
      end,
    },
  }
end

-- One request: spec = {body, headers, query, captures, settings, tap, answer = {status, headers, body}}.
-- Returns self with handler, exchange state (x), and everything that was set.
function _M.new(spec)
  local self = { sent = {}, unsent = {}, headers = {}, cleared = {}, logged = {}, now = 1700000000 }
  local exchange = fake_exchange.new(spec)
  self.x = exchange.state
  self.kong = kong_of(self, spec)
  _G.kong = self.kong
  _G.ngx = { now = function() return self.now end, arg = {} }
  package.loaded["moongate.abi.exchange"] = exchange
  -- The way through C is in spec/e2e/ai/express_spec.lua; here every request takes the Lua one.
  package.loaded["moongate.abi.ai"] = {
    plan = function()
      return nil
    end,
  }
  package.loaded["moongate.abi.node"] = {
    setting = function(name) return (spec.settings or {})[name] end,
  }
  package.loaded["kong.plugins.ai-proxy.handler"] = nil
  self.handler = require "kong.plugins.ai-proxy.handler"
  return self
end

-- Runs the answer through header_filter and body_filter; returns the client's body.
function _M.stream(self, pieces)
  self.handler:header_filter()
  local out = {}
  for i = 1, #pieces + 1 do
    _G.ngx.arg[1], _G.ngx.arg[2] = pieces[i] or "", i > #pieces
    self.handler:body_filter()
    out[i] = _G.ngx.arg[1]
  end
  return table.concat(out)
end

return _M
