-- prometheus: counts requests, bytes, latencies and the use of LLMs, under Kong's names and labels.
-- The cells are in shared memory; /metrics on the status listener renders them (C), together with
-- what the node counts by itself.
-- Invariant: labels come from the configuration, but for `ai_model`, of which only so many are told
-- apart; what is seen again costs a table look-up and atomic additions.

local exchange = require "moongate.abi.exchange"
local request = require "moongate.abi.request"
local response = require "moongate.abi.response"
local route = require "moongate.abi.route"
local stats = require "moongate.abi.stats"
local upstream = require "moongate.abi.upstream"

local kong = kong
local add, observe = stats.add, stats.observe

local Prometheus = {
  PRIORITY = 13,
  VERSION = "3.14.0",
}

local WORKSPACE = "default"
local MODELS_MAX = 200 -- of one provider; clients may choose a model's name
local KONG_BUCKETS = { 1, 2, 5, 7, 10, 15, 20, 30, 50, 75, 100, 200, 500, 750, 1000, 3000, 6000 }
local UPSTREAM_BUCKETS = { 25, 50, 80, 100, 250, 400, 700, 1000, 2000, 5000, 10000, 30000, 60000 }
local LLM_BUCKETS = { 250, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500, 5000, 10000, 30000,
  60000 }
local TOKEN_TYPES = { "prompt_tokens", "completion_tokens", "total_tokens" }

local HELP = {
  kong_http_requests_total = "HTTP requests by service, route, status and who answered",
  kong_kong_latency_ms = "Milliseconds a request spent in the gateway and its plugins",
  kong_upstream_latency_ms = "Milliseconds until the upstream's response began",
  kong_request_latency_ms = "Milliseconds from a request's first byte to its response's last",
  kong_bandwidth_bytes = "Bytes of requests (ingress) and responses (egress)",
  kong_ai_llm_requests_total = "Requests answered by an LLM provider",
  kong_ai_llm_cost_total = "Cost of LLM requests, by the configured prices",
  kong_ai_llm_tokens_total = "Tokens of LLM requests",
  kong_ai_llm_provider_latency_ms = "Milliseconds an LLM provider took to answer",
}

local function labels(list)
  local out = {}
  for i = 1, #list, 2 do
    out[#out + 1] = stats.label(list[i], list[i + 1])
  end
  return table.concat(out, ",")
end

local function counter(name, list)
  return stats.counter(name, labels(list), HELP[name])
end

local function histogram(name, list, bounds)
  return stats.histogram(name, labels(list), HELP[name], bounds)
end

-- Series of a route --------------------------------------------------------------------------------

-- What has been made for a route (a table of its generation), by consumer's name.
local by_route = setmetatable({}, { __mode = "k" })
local NO_ROUTE = {} -- stands for the route of requests that matched none

local function make_series(of_route, consumer)
  local service = route.service()
  return {
    service = service and (service.name or service.host) or "",
    route = of_route ~= NO_ROUTE and (of_route.name or of_route.id) or "",
    consumer = consumer,
    status = {},
  }
end

local function consumer_name(conf)
  if not conf.per_consumer then
    return ""
  end
  local consumer = route.consumer()
  return consumer and (consumer.username or consumer.custom_id or consumer.id) or ""
end

local function series_of(conf)
  local of_route = route.route() or NO_ROUTE
  local all = by_route[of_route]
  if not all then
    all = {}
    by_route[of_route] = all
  end
  local consumer = consumer_name(conf)
  local series = all[consumer]
  if not series then
    series = make_series(of_route, consumer)
    all[consumer] = series
  end
  return series
end

-- One function per flag ----------------------------------------------------------------------------

local function count_status(series)
  local source, code = response.source() or "error", response.status() or 0
  local by_code = series.status[source]
  if not by_code then
    by_code = {}
    series.status[source] = by_code
  end
  local handle = by_code[code]
  if not handle then
    handle = counter("kong_http_requests_total", {
      "service", series.service, "route", series.route, "code", ("%d"):format(code),
      "source", source, "workspace", WORKSPACE, "consumer", series.consumer,
    })
    by_code[code] = handle
  end
  add(handle, 1)
end

local function make_latencies(series)
  local list = { "service", series.service, "route", series.route, "workspace", WORKSPACE }
  series.kong_ms = histogram("kong_kong_latency_ms", list, KONG_BUCKETS)
  series.upstream_ms = histogram("kong_upstream_latency_ms", list, UPSTREAM_BUCKETS)
  series.request_ms = histogram("kong_request_latency_ms", list, UPSTREAM_BUCKETS)
end

local function count_latencies(series)
  if not series.kong_ms then
    make_latencies(series)
  end
  local kong_ms, upstream_ms, request_ms = exchange.latencies()
  if kong_ms then
    observe(series.kong_ms, kong_ms)
  end
  if upstream_ms then
    observe(series.upstream_ms, upstream_ms)
  end
  if request_ms then
    observe(series.request_ms, request_ms)
  end
end

local function make_bandwidth(series)
  for _, direction in ipairs({ "ingress", "egress" }) do
    series[direction] = counter("kong_bandwidth_bytes", {
      "service", series.service, "route", series.route, "direction", direction,
      "workspace", WORKSPACE, "consumer", series.consumer,
    })
  end
end

local function count_bytes(series)
  if not series.ingress then
    make_bandwidth(series)
  end
  add(series.ingress, request.bytes_in() or 0)
  add(series.egress, response.bytes_out() or 0)
end

-- LLMs ---------------------------------------------------------------------------------------------

-- provider -> {n = models told apart, models = {[model] = {[mode] = {[consumer] = series}}}}.
local providers = {}

local function child(t, key)
  local found = t[key]
  if not found then
    found = {}
    t[key] = found
  end
  return found
end

-- The models of a provider told apart so far, and the name this one is counted under.
local function models_of(provider, model)
  local known = providers[provider]
  if not known then
    known = { n = 0, models = {} }
    providers[provider] = known
  end
  if not known.models[model] and known.n >= MODELS_MAX then
    return known.models, "other"
  elseif not known.models[model] then
    known.n = known.n + 1
  end
  return known.models, model
end

local function make_llm_series(provider, model, mode, consumer)
  local base = {
    "ai_provider", provider, "ai_model", model, "cache_status", "", "vector_db", "",
    "embeddings_provider", "", "embeddings_model", "", "workspace", WORKSPACE,
    "consumer", consumer, "request_mode", mode,
  }
  local series = {
    requests = counter("kong_ai_llm_requests_total", base),
    latency = histogram("kong_ai_llm_provider_latency_ms", base, LLM_BUCKETS),
    base = base,
  }
  for _, kind in ipairs(TOKEN_TYPES) do
    local list = { unpack(base) }
    list[#list + 1], list[#list + 2] = "token_type", kind
    series[kind] = counter("kong_ai_llm_tokens_total", list)
  end
  return series
end

local function llm_series(use, consumer)
  local provider, mode = use.provider or "", use.request_mode or "oneshot"
  local models, model = models_of(provider, use.model or "")
  local by_consumer = child(child(models, model), mode)
  local series = by_consumer[consumer]
  if not series then
    series = make_llm_series(provider, model, mode, consumer)
    by_consumer[consumer] = series
  end
  return series
end

-- use: what ai-proxy left in kong.ctx.shared.ai.
local function count_llm(use, consumer)
  local series = llm_series(use, consumer)
  add(series.requests, 1)
  for i = 1, #TOKEN_TYPES do
    local n = use[TOKEN_TYPES[i]]
    if n and n > 0 then
      add(series[TOKEN_TYPES[i]], n)
    end
  end
  if use.llm_latency then
    observe(series.latency, use.llm_latency)
  end
  if use.cost and use.cost > 0 then
    series.cost = series.cost or counter("kong_ai_llm_cost_total", series.base)
    add(series.cost, use.cost)
  end
end

-- Phases -------------------------------------------------------------------------------------------

-- The health of targets changes by itself: C shows it at each scrape.
function Prometheus:configure(configs)
  local wanted = false
  for _, conf in ipairs(configs or {}) do
    wanted = wanted or conf.upstream_health_metrics == true
  end
  upstream.export(wanted)
end

function Prometheus:log(conf)
  local series = series_of(conf)
  if conf.status_code_metrics then
    count_status(series)
  end
  if conf.latency_metrics then
    count_latencies(series)
  end
  if conf.bandwidth_metrics then
    count_bytes(series)
  end
  if conf.ai_metrics then
    local use = kong.ctx.shared.ai
    if use then
      count_llm(use, series.consumer)
    end
  end
end

return Prometheus
