-- ai-proxy: sends OpenAI-shaped requests to an LLM provider, and counts what they used.
-- It is NOT the translation nor the shape checks (lualib/ai); here they meet the request.
-- Invariant: for a provider that speaks the client's format the body is spliced, never decoded, and
-- the answer never enters Lua; only cross-format providers use the optional phases.

local ai = require "moongate.abi.ai"
local exchange = require "moongate.abi.exchange"
local node = require "moongate.abi.node"

local bridges = require "moongate.ai.bridges"
local collect = require "moongate.ai.collect"
local express = require "moongate.ai.express"
local front_response = require "moongate.ai.anthropic.front_response"
local openai = require "moongate.ai.openai"
local plans = require "moongate.ai.plan"
local request = require "moongate.ai.request"
local stream = require "moongate.ai.stream"
local url = require "moongate.ai.url"
local usage = require "moongate.ai.usage"

local kong = kong
local ngx = ngx

local PAYLOAD_MAX_BYTES = 1024 * 1024
local ANTHROPIC_VERSION = "2023-06-01"
local JSON_HEADERS = { ["Content-Type"] = "application/json; charset=utf-8" }

local AiProxy = {
  PRIORITY = 770,
  VERSION = "3.14.0",
  OPTIONAL = { response = true, header_filter = true, body_filter = true, log = true },
}

-- Reads the usage of Anthropic's answers that pass: translates them, and throws the text away.
local WATCH = bridges.between("openai", "anthropic")

-- Plans of configurations without templates. Configurations are immutable, so a plan never ages.
local built = setmetatable({}, { __mode = "k" })

local lookup = {
  headers = function(name)
    return kong.request.get_header(name)
  end,
  query_params = function(name)
    return kong.request.get_query_arg(name)
  end,
  uri_captures = function(name)
    local captures = kong.request.get_uri_captures()
    return captures and (captures.named and captures.named[name]
      or captures.unnamed and captures.unnamed[tonumber(name) or name])
  end,
}

local function plan_for(conf)
  local plan = built[conf]
  if plan then
    return plan
  end
  local err
  plan, err = plans.build(conf, lookup, node.setting("ai_model_mismatch") == "replace")
  if plan and not plans.is_dynamic(conf) then
    plan.express = express.build(plan, kong.plugin and kong.plugin.get_id and kong.plugin.get_id())
    built[conf] = plan
  end
  return plan, err
end

-- An error in the format the client speaks.
local function refuse(status, message, client_format)
  if client_format == "anthropic" then
    return kong.response.exit(status, front_response.error_object(status, message), JSON_HEADERS)
  end
  return kong.response.exit(status, { error = { message = message } })
end

-- Request ----------------------------------------------------------------------------------------

local function set_header_credential(auth)
  local name = auth.header_name
  if name and not (auth.allow_override and kong.request.get_header(name)) then
    kong.service.request.set_header(name, auth.header_value)
  end
end

-- The client's query, with the target's own pairs, Azure's version and the credential added.
local function set_query(plan)
  local auth, target = plan.auth, plan.target
  local credential = auth.param_location == "query" and auth.param_pair
  if not credential and not target.query and plan.provider ~= "azure" then
    return
  end
  local query = kong.request.get_raw_query() or ""
  local pairs_ = {}
  if credential and not (auth.allow_override and url.has_arg(query, auth.param_name)) then
    query = url.without_arg(query, auth.param_name)
    pairs_[1] = credential
  end
  if query ~= "" then
    table.insert(pairs_, 1, query)
  end
  if target.query then
    table.insert(pairs_, 1, target.query)
  end
  if plan.provider == "azure" and not url.has_arg(query, "api-version") then
    pairs_[#pairs_ + 1] = "api-version="
      .. url.escape(plan.options.azure_api_version or "2023-05-15")
  end
  exchange.set_query(table.concat(pairs_, "&"))
end

local function set_body_credential(auth)
  if auth.param_location == "body"
    and not (auth.allow_override and exchange.json_type(auth.param_name)) then
    exchange.json_set(auth.param_name, auth.param_raw)
  end
end

local function set_target(plan)
  local target = plan.target
  local ok, why = exchange.set_target(target.host, target.port, target.scheme == "https")
  if not ok then
    kong.log.err("ai-proxy: cannot proxy to ", target.host, ":", target.port, ": ", why)
    return false
  end
  if target.path then
    exchange.set_path(target.path)
  end
  set_query(plan)
  set_header_credential(plan.auth)
  return true
end

-- Rewrites the body in the provider's format. true, or nil and the text for a 400.
local function translate(plan, call)
  local text, dropped = plan.bridge.request(exchange.body_get(), {
    model = call.model,
    stream = call.stream,
    options = plan.options,
    drop_top_k = plan.drop[1] == "top_k",
    newer_cap = plan.provider == "openai",
    ask_usage = plan.must_ask_usage,
  })
  if not text then
    return nil, dropped
  end
  if #dropped > 0 then
    kong.log.info("ai-proxy: members without a counterpart in the format of ", plan.provider,
      " were dropped: ", table.concat(dropped, ", "))
  end
  local auth = plan.auth
  if auth.param_location == "body" then
    text = '{"' .. auth.param_name .. '":' .. auth.param_raw .. "," .. text:sub(2)
  end
  local ok, why = exchange.body_set(text)
  if not ok then
    return nil, "translated request body cannot be sent: " .. tostring(why)
  end
  kong.service.request.set_header("Content-Type", "application/json")
  if not (auth.allow_override and auth.header_name) then
    for _, name in ipairs(plan.bridge.credentials) do
      kong.service.request.clear_header(name)
    end
  end
  return true
end

-- The translator of a stream; `estimate` of the prompt's tokens, where a format names them first.
local function new_stream(bridge, call, estimate)
  return stream.new(bridge.stream({
    created = math.floor(ngx.now()),
    model = call.model or "",
    include_usage = call.usage_asked,
    input_estimate = estimate,
  }), bridge.replay)
end

-- Says, before the provider answers, what is to happen with its answer.
local function prepare_response(plan, call)
  exchange.drop_response_header("Set-Cookie")
  if call.model and (plan.name_header or kong.request.get_header("Kong-Debug")) then
    call.name_header = call.model == plan.model and plan.model_label
      or plan.provider .. "/" .. call.model
  end
  if call.translated or plan.statistics then
    kong.service.request.set_header("Accept-Encoding", "identity")
  end
  if call.translated and not call.stream then
    exchange.want("response")
    return
  elseif call.translated then
    exchange.want("header_filter")
    exchange.want("body_filter")
  elseif plan.payloads or plan.statistics and plan.format == "anthropic" then
    exchange.want("body_filter")
  end
  if plan.statistics and plan.format == "openai" and not call.translated then
    exchange.tap("openai", call.stream and plan.must_ask_usage and not call.usage_asked)
  elseif plan.statistics and plan.format == "anthropic" and not call.translated then
    call.watch = new_stream(WATCH, call, nil)
  end
  if call.name_header then
    exchange.on_success_header("X-Kong-LLM-Model", call.name_header)
  end
end

-- Reads and normalises a JSON body; returns the call, or nil after a refusal was sent.
local function read_request(plan, content_type)
  local call, message, why = request.normalise(exchange, plan, content_type)
  if not call then
    if why then
      kong.log.info("ai-proxy: ", message, ": ", why)
    end
    return refuse(400, message, plan.client_format)
  end
  if not content_type or not request.is_json_type(content_type) then
    kong.service.request.set_header("Content-Type", "application/json")
  end
  if plan.bridge then
    local ok, err = translate(plan, call)
    if not ok then
      return refuse(400, err, plan.client_format)
    end
    call.translated = true
  else
    set_body_credential(plan.auth)
  end
  return call
end

-- A body nobody looks into: route type "preserve", or a multipart form.
local function pass_request(plan)
  if plan.auth.param_location == "body" then
    if not exchange.read_body(plan.body_max_bytes) or not exchange.json_open() then
      return refuse(400, openai.NO_CONTENT_TYPE, plan.client_format)
    end
    set_body_credential(plan.auth)
  end
  return { model = plan.model, stream = false }
end

local function is_multipart(content_type)
  return content_type and content_type ~= "application/json"
    and content_type:lower():find("^%s*multipart/form%-data") ~= nil
end

-- The usual request goes through C in one step, which also writes its part of the log record; the log
-- phase runs only for what other plugins read. False: this one is not usual.
local function take_express(plan)
  local taken, is_stream, usage_asked, logged = ai.apply(plan.express, plan.body_max_bytes)
  if taken and logged and plan.statistics then
    exchange.want("log")
    kong.ctx.plugin.call = {
      plan = plan,
      model = plan.model,
      stream = is_stream,
      usage_asked = usage_asked,
      service_tier = exchange.json_string("service_tier"),
      request_bytes = exchange.body_size(),
      started = ngx.now(),
      noted = true,
    }
  end
  return taken
end

function AiProxy:access(conf)
  local plan, err = plan_for(conf)
  if not plan then
    return refuse(400, err, conf.llm_format)
  end
  if plan.express and take_express(plan) then
    return nil
  end
  local raw
  if plan.payloads then
    raw = kong.request.get_raw_body()
  end
  local content_type = kong.request.get_header("Content-Type")
  local passes = plan.route_type == "preserve" or is_multipart(content_type)
  local call = (passes and pass_request or read_request)(plan, content_type)
  if not call then
    return nil
  end
  if plan.provider == "anthropic" then
    kong.service.request.set_header("anthropic-version",
      plan.options.anthropic_version or ANTHROPIC_VERSION)
  end
  call.plan = plan
  call.request_text = raw
  if not passes and (plan.statistics or plan.bridge) then
    call.request_bytes = exchange.body_size()
  end
  if not set_target(plan) then
    return refuse(500, "LLM request failed before proxying", plan.client_format)
  end
  prepare_response(plan, call)
  if plan.statistics or plan.payloads then
    exchange.want("log")
  end
  call.started = ngx.now()
  kong.ctx.plugin.call = call
end

-- Answer of a cross-format provider ---------------------------------------------------------------

local function is_encoded()
  local encoding = kong.service.response.get_header("Content-Encoding")
  return encoding and encoding:lower() ~= "identity"
end

-- A provider's error in the client's format, where the bridge changes errors at all.
local function translate_error(bridge, status)
  local text = bridge.error and bridge.error(kong.service.response.get_raw_body() or "", status)
  return text and kong.response.exit(status, text, JSON_HEADERS)
end

-- The provider's answer in the client's format, see bridges.lua; or nil, error.
local function whole_answer(bridge, call)
  local text = kong.service.response.get_raw_body() or ""
  if collect.is_stream(text) then
    local whole, err = bridge.collect(text)
    if not whole then
      return nil, err
    end
    text = whole
  end
  return bridge.response(text, { created = math.floor(ngx.now()), model = call.model })
end

-- The whole answer at once.
function AiProxy:response()
  local call = kong.ctx.plugin.call
  if not call or not call.translated then
    return nil
  end
  local bridge, format = call.plan.bridge, call.plan.client_format
  local status = kong.service.response.get_status()
  if status ~= 200 then
    return translate_error(bridge, status)
  elseif is_encoded() then
    return refuse(502, "provider compressed its answer although identity was asked for", format)
  end
  local text, details = whole_answer(bridge, call)
  if not text then
    return refuse(500, "transformation failed from type " .. bridge.provider
      .. "://llm/v1/chat: " .. details, format)
  end
  call.tap = details.usage or {}
  call.tap.model, call.tap.finish_reason = details.model, details.finish_reason
  if call.plan.payloads then
    call.response_text = text
  end
  return kong.response.exit(200, text, {
    ["Content-Type"] = JSON_HEADERS["Content-Type"],
    ["X-Kong-LLM-Model"] = call.name_header,
  })
end

-- A stream: from here on the answer is event by event. An error of the provider's is translated
-- whole, or passes.
function AiProxy:header_filter()
  local call = kong.ctx.plugin.call
  if not call or not call.translated or kong.response.get_source() ~= "service" then
    return
  end
  local status = kong.service.response.get_status()
  if status ~= 200 then
    call.failed_status = call.plan.bridge.error and status or nil
    if call.failed_status then
      kong.response.clear_header("Content-Length")
      kong.response.set_header("Content-Type", JSON_HEADERS["Content-Type"])
    end
    return
  end
  call.translator = new_stream(call.plan.bridge, call, math.ceil(call.request_bytes / 4))
  if is_encoded() then
    kong.log.err("ai-proxy: provider compressed its stream although identity was asked for")
    kong.response.clear_header("Content-Encoding")
    call.unreadable = true
  end
  kong.response.clear_header("Content-Length")
  kong.response.set_header("Content-Type", "text/event-stream")
  kong.response.set_header("Cache-Control", "no-cache")
  kong.response.set_header("X-Accel-Buffering", "no")
end

-- The next bytes for the client of a translated stream.
local function translate_bytes(call, bytes, eof)
  local translator = call.translator
  if call.unreadable then
    bytes = ""
  end
  local out = bytes ~= "" and translator:feed(bytes) or ""
  if eof and not call.finished then
    call.finished = true
    out = out .. translator:finish()
  end
  return out
end

-- Collects an error body and hands it on, translated, at its end.
local function collect_error(call, bytes, eof)
  local size = (call.error_bytes or 0) + #bytes
  call.error_bytes = size
  call.error_text = (call.error_text or "") .. (size <= PAYLOAD_MAX_BYTES and bytes or "")
  return eof and call.plan.bridge.error(call.error_text, call.failed_status) or ""
end

local function keep_payload(call, bytes)
  local size = (call.kept_bytes or 0) + #bytes
  call.kept_bytes = size
  if size <= PAYLOAD_MAX_BYTES then
    call.kept = call.kept or {}
    call.kept[#call.kept + 1] = bytes
  end
end

function AiProxy:body_filter()
  local call = kong.ctx.plugin.call
  if not call then
    return
  end
  local bytes, eof = ngx.arg[1] or "", ngx.arg[2]
  if bytes ~= "" and not call.first_event_ms then
    call.first_event_ms = math.floor((ngx.now() - call.started) * 1000)
  end
  if call.translator then
    bytes = translate_bytes(call, bytes, eof)
    ngx.arg[1] = bytes
  elseif call.failed_status then
    bytes = collect_error(call, bytes, eof)
    ngx.arg[1] = bytes
  elseif call.watch then
    call.watch:feed(bytes)
    if eof then
      call.watch:finish()
    end
  end
  if call.plan.payloads then
    keep_payload(call, bytes)
  end
end

-- Log --------------------------------------------------------------------------------------------

local function tap_of(call)
  local watcher = call.translator or call.watch
  if watcher then
    local tap = watcher:result()
    tap.stream = call.stream
    tap.first_event_ms = call.first_event_ms
    return tap
  end
  return call.tap or not call.translated and exchange.tap_result() or nil
end

local function log_statistics(call)
  local plan = call.plan
  local tap = tap_of(call)
  local latency_ms = math.floor((ngx.now() - call.started) * 1000 + 0.5)
  call.plugin_id = kong.plugin and kong.plugin.get_id and kong.plugin.get_id() or nil
  local meta = usage.meta(plan, call, tap or {}, latency_ms)
  if not call.noted then
    kong.log.set_serialize_value("ai.proxy.meta", meta)
  end
  if not tap or kong.service.response.get_status() ~= 200 then
    return
  end
  local counts, estimated = usage.complete(tap, call)
  local cost = usage.cost(counts, plan.options, call.service_tier)
  local values = usage.usage(counts, estimated, tap, latency_ms, cost)
  if not call.noted then
    kong.log.set_serialize_value("ai.proxy.usage", values)
  end
  -- Read by prometheus and other plugins in their log phase; see docs/plugins/ai-proxy.md.
  kong.ctx.shared.ai = {
    provider = plan.provider,
    model = call.model,
    response_model = meta.response_model,
    route_type = plan.route_type,
    request_mode = meta.request_mode,
    llm_latency = latency_ms,
    prompt_tokens = counts.prompt_tokens,
    completion_tokens = counts.completion_tokens,
    total_tokens = counts.total_tokens,
    time_to_first_token = values.time_to_first_token,
    cost = cost,
    estimated = estimated,
    finish_reason = tap.finish_reason,
    truncated = tap.stream and tap.terminal == false or nil,
  }
end

function AiProxy:log()
  local call = kong.ctx.plugin.call
  if not call then
    return
  end
  if call.plan.statistics then
    log_statistics(call)
  end
  if call.plan.payloads then
    kong.log.set_serialize_value("ai.proxy.payload", {
      request = call.request_text,
      response = call.response_text or call.kept and table.concat(call.kept) or nil,
    })
  end
end

return AiProxy
