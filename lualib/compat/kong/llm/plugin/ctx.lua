-- The name guests know: require "kong.llm.plugin.ctx": what the filters of AI plugins tell each other in a request: values
-- of registered names in a namespace, and the request's body as the filters have left it.
-- Invariant: a name must be registered with its type before it is written or read.

local ngx = require("moongate.ngx")

local _M = {}

local VALUES, SOURCES, BODY_SOURCE = "ai_namespaced_ctx", "ai_namespaced_ctx_global_source", "ai_request_body_table_source"
local GLOBAL = "_global"

local types = { -- namespace -> name -> type
  [GLOBAL] = {
    accept_gzip = "boolean", stream_mode = "boolean", request_body_table = "table", response_body = "string",
    sse_body_buffer = "userdata", response_body_sent = "boolean", llm_format_adapter = "table", preserve_mode = "boolean",
  },
}

local function type_of(namespace, name)
  local kind = types[namespace] and types[namespace][name]
  if not kind then
    error(("key not registered in namespace: %s key: %s"):format(namespace, name), 3)
  end
  return kind
end

local function member(t, name)
  local inner = t[name]
  if not inner then
    inner = {}
    t[name] = inner
  end
  return inner
end

function _M.set_namespaced_ctx(namespace, name, value)
  local kind = type_of(namespace, name)
  if type(value) ~= kind then
    error(("value type mismatch in namespace: %s key: %s, expecting %s, got %s"):format(namespace, name, kind,
      type(value)), 2)
  end
  member(member(ngx.ctx, VALUES), namespace)[name] = value
  return true
end

function _M.get_namespaced_ctx(namespace, name)
  type_of(namespace, name)
  local all = ngx.ctx[VALUES]
  return all and all[namespace] and all[namespace][name]
end

function _M.clear_namespaced_ctx(namespace)
  local all = ngx.ctx[VALUES]
  if all then
    all[namespace] = nil
  end
  return true
end

function _M.has_namespace(namespace)
  return types[namespace] ~= nil
end

--- Registers a namespace, {name = type}: functions to read and to write its names.
function _M.get_namespaced_accesors(namespace, schema)
  if types[namespace] then
    error("namespace already registered: " .. namespace, 2)
  end
  types[namespace] = schema
  return function(name)
    return _M.get_namespaced_ctx(namespace, name)
  end, function(name, value)
    return _M.set_namespaced_ctx(namespace, name, value)
  end
end

--- Functions for the names all filters share: read gives the value and who wrote it; write(name, value).
function _M.get_global_accessors(source)
  return function(name)
    local value = _M.get_namespaced_ctx(GLOBAL, name)
    if value then
      return value, (ngx.ctx[SOURCES] or {})[name]
    end
    return nil, nil
  end, function(name, value)
    _M.set_namespaced_ctx(GLOBAL, name, value)
    member(ngx.ctx, SOURCES)[name] = source
    return true
  end
end

--- A copy: what is done to it is done to nothing else. nil for nil.
function _M.immutable_table(t)
  if not t then
    return nil
  end
  local out = {}
  for key, value in pairs(t) do
    out[key] = value
  end
  return out
end

--- The body is from now on this table, says `source`.
function _M.set_request_body_table_inuse(t, source)
  _M.set_namespaced_ctx(GLOBAL, "request_body_table", t)
  ngx.ctx[BODY_SOURCE] = source
end

--- A copy of the body's table, and who said so; {} and "none" when nobody has read it.
function _M.get_request_body_table_inuse()
  local t = _M.get_namespaced_ctx(GLOBAL, "request_body_table")
  if t then
    return _M.immutable_table(t), ngx.ctx[BODY_SOURCE]
  end
  return {}, "none"
end

--- {name =, provider =} of the model that the request asks for.
function _M.get_request_model_table_inuse()
  local model = _M.has_namespace("normalize-request") and _M.get_namespaced_ctx("normalize-request", "model")
    or _M.has_namespace("parse-request") and _M.get_namespaced_ctx("parse-request", "request_model")
  return model or { name = "UNSPECIFIED", provider = "UNSPECIFIED" }
end

return _M
