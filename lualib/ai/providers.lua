-- The providers: where each listens, what path serves a route type, and which format it speaks.
-- It is NOT code that talks to them, and holds no credentials. A new OpenAI-shaped one is a row.
-- Invariant: format "openai" means the client's bytes are the provider's bytes.

local url = require "moongate.ai.url"

local _M = {}

local OPENAI_PATHS = {
  ["llm/v1/chat"] = "/v1/chat/completions",
  ["llm/v1/completions"] = "/v1/completions",
  ["llm/v1/embeddings"] = "/v1/embeddings",
}

local function paths(chat, completions, embeddings)
  return {
    ["llm/v1/chat"] = chat,
    ["llm/v1/completions"] = completions,
    ["llm/v1/embeddings"] = embeddings,
  }
end

-- stream_usage: "ask" = stream_options.include_usage must be injected; "always" = usage comes
-- unasked, and the option may be refused. drop = request members the provider refuses.
local PROVIDERS = {
  openai = {
    format = "openai", host = "api.openai.com", paths = OPENAI_PATHS,
    stream_usage = "ask", drop = { "top_k" },
  },
  azure = {
    format = "openai", stream_usage = "ask", drop = { "top_k" },
    paths = paths("/chat/completions", "/completions", "/embeddings"),
  },
  mistral = {
    format = "openai", host = "api.mistral.ai", stream_usage = "always",
    paths = paths("/v1/chat/completions", nil, "/v1/embeddings"),
  },
  deepseek = {
    format = "openai", host = "api.deepseek.com", stream_usage = "ask",
    paths = paths("/v1/chat/completions"),
  },
  xai = {
    format = "openai", host = "api.x.ai", stream_usage = "ask",
    paths = paths("/v1/chat/completions"),
  },
  cerebras = {
    format = "openai", host = "api.cerebras.ai", stream_usage = "ask",
    paths = paths("/v1/chat/completions"),
  },
  dashscope = {
    format = "openai", stream_usage = "ask",
    paths = paths("/compatible-mode/v1/chat/completions", nil, "/compatible-mode/v1/embeddings"),
  },
  databricks = {
    format = "openai", stream_usage = "ask",
    paths = paths("/serving-endpoints/v1/chat/completions"),
  },
  huggingface = {
    format = "openai", host = "router.huggingface.co", stream_usage = "ask",
    paths = paths("/v1/chat/completions"),
  },
  vllm = { format = "openai", stream_usage = "ask", paths = OPENAI_PATHS },
  ollama = { format = "openai", stream_usage = "ask", paths = OPENAI_PATHS },
  llama2 = { format = "openai", stream_usage = "ask", paths = OPENAI_PATHS },
  anthropic = {
    format = "anthropic", host = "api.anthropic.com", stream_usage = "always",
    paths = paths("/v1/messages"),
  },
  bedrock = { format = "bedrock", paths = {} },
  cohere = { format = "cohere", paths = {} },
  gemini = { format = "gemini", paths = {} },
}

-- The row of a provider, or nil.
function _M.get(name)
  return PROVIDERS[name]
end

-- The wire format this configuration speaks: "openai", "anthropic", or one nobody here translates.
function _M.format_of(provider, options)
  local variant = provider == "llama2" and options.llama2_format
    or provider == "mistral" and options.mistral_format
  if variant and variant ~= "openai" then
    return variant
  end
  return PROVIDERS[provider].format
end

local function fixed_host(provider, options)
  if provider == "azure" then
    return options.azure_instance and options.azure_instance .. ".openai.azure.com"
  elseif provider == "dashscope" then
    local international = not options.dashscope or options.dashscope.international ~= false
    return international and "dashscope-intl.aliyuncs.com" or "dashscope.aliyuncs.com"
  elseif provider == "databricks" then
    local instance = options.databricks and options.databricks.workspace_instance_id
    return instance and instance .. ".cloud.databricks.com"
  end
  return PROVIDERS[provider].host
end

local function fixed_path(provider, options, route_type)
  local path = PROVIDERS[provider].paths[route_type]
  if provider == "azure" and path then
    return "/openai/deployments/" .. url.escape(options.azure_deployment_id or "") .. path
  end
  return path
end

-- Where the request goes: {scheme, host, port, path, query}; path nil = the one the route computed.
-- Options must be free of templates. nil, error when the configuration does not say where.
function _M.target(provider, options, route_type)
  local path = fixed_path(provider, options, route_type)
  if route_type == "preserve" then
    path = options.upstream_path
  elseif not path and not options.upstream_url then
    return nil, "no transformer available to format " .. provider .. "://" .. route_type
  end
  if options.upstream_url then
    local target, err = url.parse(options.upstream_url)
    if not target then
      return nil, err
    end
    target.path = target.path or path
    return target
  end
  local host = fixed_host(provider, options)
  if not host then
    return nil, "must set 'model.options.upstream_url' for self-hosted providers/models"
  end
  if not url.is_segment(host) then
    return nil, "invalid host name '" .. host .. "' for provider " .. provider
  end
  return { scheme = "https", host = host, port = 443, path = path }
end

-- Does the provider take stream_options.include_usage, and need it? Old Azure versions refuse it.
function _M.must_ask_usage(provider, options)
  if provider == "azure" then
    return (options.azure_api_version or "2023-05-15") >= "2024-09-01"
  end
  return PROVIDERS[provider].stream_usage == "ask"
end

return _M
