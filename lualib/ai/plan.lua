-- Turns one ai-proxy configuration into a plan: everything that does not depend on the request,
-- computed once (target, raw JSON of overriding options, credentials ready to set).
-- It is NOT per-request work (that is request.lua) unless the configuration holds $(...) templates.
-- Invariant: a plan is never changed after build.

local bridges = require "moongate.ai.bridges"
local json_text = require "moongate.ai.json_text"
local providers = require "moongate.ai.providers"
local template = require "moongate.ai.template"
local url = require "moongate.ai.url"

local _M = {}

local EMPTY = {}

-- Options that replace the client's member of the same name, per route type.
local OVERRIDES = {
  ["llm/v1/chat"] = { "max_tokens", "temperature", "top_p", "top_k" },
  ["llm/v1/completions"] = { "max_tokens", "temperature", "top_p", "top_k" },
  ["llm/v1/embeddings"] = {},
}

-- Options that end up in a URL, and what a client's value may hold there.
local URL_OPTIONS = {
  upstream_path = url.is_model_name,
  azure_instance = url.is_segment,
  azure_deployment_id = url.is_segment,
}

local function is_set(value)
  return value ~= nil and type(value) ~= "userdata" -- JSON null is a light userdata
end

local function has_template(value)
  if type(value) == "table" then
    for _, inner in pairs(value) do
      if has_template(inner) then
        return true
      end
    end
    return false
  end
  return template.is_template(value)
end

-- A client's value in the host part must not end it.
local function resolve_url(value, lookup)
  local authority, rest = value:match("^(%a+://[^/?]*)(.*)$")
  if not authority then
    return template.resolve(value, lookup, url.is_segment)
  end
  local host, err = template.resolve(authority, lookup, url.is_segment)
  if not host then
    return nil, err
  end
  rest, err = template.resolve(rest, lookup, url.is_model_name)
  if not rest then
    return nil, err
  end
  return host .. rest
end

local function resolve_all(values, lookup)
  local out = {}
  for name, value in pairs(values) do
    if type(value) == "table" then
      local inner, err = resolve_all(value, lookup)
      if not inner then
        return nil, err
      end
      out[name] = inner
    elseif is_set(value) then
      local found, err
      if name == "upstream_url" then
        found, err = resolve_url(value, lookup)
      else
        found, err = template.resolve(value, lookup, URL_OPTIONS[name])
      end
      if err then
        return nil, err
      end
      out[name] = found
    end
  end
  return out
end

local function overrides_of(provider, options, route_type)
  local out = {}
  local dropped = {}
  for _, name in ipairs(providers.get(provider).drop or EMPTY) do
    dropped[name] = true
  end
  for _, name in ipairs(OVERRIDES[route_type] or EMPTY) do
    if options[name] and not dropped[name] then
      out[#out + 1] = { name = name, raw = json_text.number(options[name]) }
    end
  end
  if route_type == "llm/v1/embeddings" and options.embeddings_dimensions then
    out[1] = { name = "dimensions", raw = json_text.number(options.embeddings_dimensions) }
  end
  return out
end

local function auth_of(conf)
  local auth = conf.auth
  if not is_set(auth) then
    return EMPTY
  end
  local out = { allow_override = auth.allow_override == true }
  if is_set(auth.header_name) and is_set(auth.header_value) then
    out.header_name, out.header_value = auth.header_name, auth.header_value
  end
  if is_set(auth.param_name) and is_set(auth.param_value) then
    out.param_name, out.param_location = auth.param_name, auth.param_location
    out.param_raw = json_text.quote(auth.param_value)
    out.param_pair = url.escape(auth.param_name) .. "=" .. url.escape(auth.param_value)
  end
  return out
end

-- Does the plan of this configuration depend on the request?
function _M.is_dynamic(conf)
  return has_template(conf.model.name) or has_template(conf.model.options or EMPTY)
end

-- The translation this route type needs (nil: none), or nil, error.
local function bridge_for(client, format, provider, route_type)
  if route_type == "preserve" then
    return nil
  end
  local what = "no transformer available to format " .. provider .. "://" .. route_type
  local bridge, err = bridges.between(client, format)
  if format ~= "openai" and format ~= "anthropic" then
    return nil, what
  elseif err or client == "anthropic" and route_type ~= "llm/v1/chat" then
    return nil, what .. " for llm_format '" .. client .. "'"
  end
  return bridge
end

-- The plan, or nil, error text for the client. `lookup` (see template.lua) is needed only for a
-- dynamic configuration. `replace_model`: a client's other model is replaced, not refused.
function _M.build(conf, lookup, replace_model)
  local model = conf.model
  local route_type = conf.route_type
  local name, err = template.resolve(is_set(model.name) and model.name or nil, lookup)
  if err then
    return nil, err
  end
  local options
  options, err = resolve_all(is_set(model.options) and model.options or EMPTY, lookup)
  if not options then
    return nil, err
  end
  local provider = model.provider
  local format = providers.format_of(provider, options)
  local client_format = conf.llm_format or "openai"
  local bridge
  bridge, err = bridge_for(client_format, format, provider, route_type)
  if err then
    return nil, err
  end
  local target
  target, err = providers.target(provider, options, route_type)
  if not target then
    return nil, err
  end
  local logging = is_set(conf.logging) and conf.logging or EMPTY
  return {
    provider = provider,
    format = format,
    client_format = client_format,
    bridge = bridge,
    route_type = route_type,
    model = name,
    model_raw = name and json_text.quote(name),
    model_label = name and provider .. "/" .. name,
    replace_model = replace_model == true,
    options = options,
    target = target,
    drops_max_tokens = provider == "openai" or provider == "azure",
    overrides = overrides_of(provider, options, route_type),
    drop = providers.get(provider).drop or EMPTY,
    must_ask_usage = providers.must_ask_usage(provider, options),
    auth = auth_of(conf),
    streaming = conf.response_streaming or "allow",
    body_max_bytes = conf.max_request_body_size or 1048576,
    statistics = logging.log_statistics == true,
    payloads = logging.log_payloads == true,
    name_header = conf.model_name_header ~= false,
  }
end

return _M
