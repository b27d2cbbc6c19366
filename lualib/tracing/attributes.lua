-- Attributes of a request's spans: HTTP's and the gateway's of the root, the upstream's of the client span,
-- and OpenTelemetry's GenAI conventions for what ai-proxy did.
-- Pure: works on the request's record and on tables.

local _M = {}

local PROVIDERS = {
  azure = "azure.ai.openai", bedrock = "aws.bedrock", gemini = "gcp.gemini", vertex = "gcp.vertex_ai",
  mistral = "mistral_ai", xai = "x_ai",
}
local OPERATIONS = {
  ["llm/v1/chat"] = "chat", ["llm/v1/completions"] = "text_completion", ["llm/v1/embeddings"] = "embeddings",
  ["llm/v1/responses"] = "chat", ["llm/v1/messages"] = "chat",
}

-- Sets what a finished request's record tells on its root span. http: {minor, scheme, host, peer_ip}.
function _M.set_root(span, record, http)
  local a = span.attributes
  a["http.method"] = record.request.method
  a["http.url"] = record.request.url
  a["http.host"] = http.host
  a["http.scheme"] = http.scheme
  a["http.flavor"] = http.minor and ("1.%d"):format(http.minor) or nil
  a["http.status_code"] = record.response.status
  a["http.client_ip"] = record.client_ip
  a["net.peer.ip"] = http.peer_ip
  a["http.route"] = record.route and record.route.paths and record.route.paths[1] or nil
  a["kong.request.id"] = record.request.id
  a["kong.route.name"] = record.route and record.route.name or nil
  a["kong.service.name"] = record.service and record.service.name or nil
  if (tonumber(record.response.status) or 500) >= 500 then
    span.status = 2
  end
end

-- The same on the span of what went upstream. tries: the record's.
function _M.set_proxy(span, record, tries)
  local a, last = span.attributes, tries[#tries]
  a["net.peer.ip"], a["net.peer.port"] = last.ip, last.port
  a["net.peer.name"] = record.service and record.service.host or nil
  a["try_count"] = #tries
  a["http.status_code"] = tonumber(record.upstream_status)
  if last.state == "failed" or not a["http.status_code"] or a["http.status_code"] >= 500 then
    span.status = 2
  end
end

-- use: kong.ctx.shared.ai, as ai-proxy leaves it; see docs/plugins/ai-proxy.md.
function _M.set_genai(span, use)
  local a = span.attributes
  a["gen_ai.operation.name"] = OPERATIONS[use.route_type] or use.route_type
  a["gen_ai.provider.name"] = PROVIDERS[use.provider] or use.provider
  a["gen_ai.request.model"] = use.model
  a["gen_ai.response.model"] = use.response_model
  a["gen_ai.usage.input_tokens"] = use.prompt_tokens
  a["gen_ai.usage.output_tokens"] = use.completion_tokens
  a["gen_ai.response.finish_reasons"] = use.finish_reason and { use.finish_reason } or nil
  a["gen_ai.server.time_to_first_token"] = use.time_to_first_token and use.time_to_first_token / 1000 or nil
  a["kong.gen_ai.llm.cost"] = use.cost
end

return _M
