-- The configuration of what talks to a provider: Kong 3.14's fields, defaults and entity checks of ai-proxy. A record.
-- It is NOT where a provider is described (lualib/ai/providers.lua).
-- Invariant: the texts of the entity checks are Kong's; tools compare them.

local null = require("cjson").null
local template = require "moongate.ai.template"
local url = require "moongate.ai.url"

local PROVIDERS = {
  "anthropic", "azure", "bedrock", "cerebras", "cohere", "dashscope", "databricks", "deepseek",
  "gemini", "huggingface", "llama2", "mistral", "ollama", "openai", "vllm", "xai",
}

local ROUTE_TYPES = {
  "llm/v1/chat", "llm/v1/completions", "llm/v1/embeddings", "llm/v1/responses",
  "llm/v1/assistants", "llm/v1/batches", "llm/v1/files",
  "audio/v1/audio/speech", "audio/v1/audio/transcriptions", "audio/v1/audio/translations",
  "image/v1/images/generations", "image/v1/images/edits", "video/v1/videos/generations",
  "realtime/v1/realtime", "preserve",
}

local NEEDS_URL = { llama2 = true, ollama = true, vllm = true }

local function given(value)
  return value ~= nil and value ~= null
end

-- Fields -----------------------------------------------------------------------------------------

local function secret(name)
  return { [name] = { type = "string", required = false, encrypted = true, referenceable = true } }
end

local function reference(name)
  return { [name] = { type = "string", required = false, referenceable = true } }
end

local function flag(name, default)
  return { [name] = { type = "boolean", required = true, default = default } }
end

local function text(name, attributes)
  local field = attributes or {}
  field.type, field.required = "string", field.required or false
  return { [name] = field }
end

local function number(name, attributes)
  local field = attributes or {}
  field.type, field.required = "number", field.required or false
  return { [name] = field }
end

local function record(name, fields)
  return { [name] = { type = "record", required = false, fields = fields } }
end

local function list_of(name, fields)
  return { [name] = {
    type = "array", required = false, elements = { type = "record", fields = fields },
  } }
end

local function check_url(value)
  if template.is_template(value) then
    return true
  end
  local target, err = url.parse(value)
  return target and true or nil, err
end

local auth = {
  reference("header_name"),
  secret("header_value"),
  reference("param_name"),
  secret("param_value"),
  text("param_location", { one_of = { "query", "body" } }),
  flag("allow_override", false),
  flag("azure_use_managed_identity", false),
  reference("azure_client_id"),
  secret("azure_client_secret"),
  reference("azure_tenant_id"),
  flag("gcp_use_service_account", false),
  secret("gcp_service_account_json"),
  reference("gcp_metadata_url"),
  reference("gcp_oauth_token_url"),
  secret("aws_access_key_id"),
  secret("aws_secret_access_key"),
}

local options = {
  { max_tokens = { type = "integer", required = false } },
  { embeddings_dimensions = { type = "integer", required = false, gt = 0 } },
  number("temperature", { between = { 0, 5 } }),
  number("top_p", { between = { 0, 1 } }),
  { top_k = { type = "integer", required = false, between = { 0, 500 } } },
  number("input_cost", { gt = 0 }),
  number("output_cost", { gt = 0 }),
  number("cache_read_cost", { gt = 0 }),
  number("cache_write_cost", { gt = 0 }),
  list_of("cache_write_cost_list", {
    number("cost", { required = true, gt = 0 }), text("ttl", { required = true }),
  }),
  list_of("context_window_factor", {
    { above = { type = "integer", required = true, gt = 0 } },
    number("input_factor", { required = true, gt = 0 }),
    number("output_factor", { required = true, gt = 0 }),
  }),
  list_of("service_tier_factor", {
    text("tier", { required = true }), number("factor", { required = true, gt = 0 }),
  }),
  text("upstream_url", { custom_validator = check_url }),
  text("upstream_path"),
  text("anthropic_version"),
  text("azure_instance"),
  text("azure_api_version", { default = "2023-05-15" }),
  text("azure_deployment_id"),
  text("llama2_format", { one_of = { "raw", "openai", "ollama" } }),
  text("mistral_format", { one_of = { "openai", "ollama" } }),
  { gemini = {
    type = "record",
    required = false,
    fields = { text("api_endpoint"), text("project_id"), text("location_id"), text("endpoint_id") },
    entity_checks = { { mutually_required = { "api_endpoint", "project_id", "location_id" } } },
  } },
  record("bedrock", {
    text("aws_region"), text("aws_assume_role_arn"), text("aws_role_session_name"),
    text("aws_sts_endpoint_url"), text("performance_config_latency"),
    { embeddings_normalize = { type = "boolean", required = false, default = false } },
    text("batch_bucket_prefix"), text("batch_role_arn"), text("video_output_s3_uri"),
  }),
  record("huggingface", {
    { use_cache = { type = "boolean", required = false } },
    { wait_for_model = { type = "boolean", required = false } },
  }),
  record("cohere", {
    text("embedding_input_type", {
      default = "classification",
      one_of = { "classification", "clustering", "image", "search_document", "search_query" },
    }),
    { wait_for_model = { type = "boolean", required = false } },
  }),
  record("dashscope", { flag("international", true) }),
  record("databricks", { text("workspace_instance_id") }),
}

-- Entity checks ----------------------------------------------------------------------------------

local function options_of(config)
  local model = given(config.model) and config.model or {}
  return given(model.options) and model.options or {}, model.provider
end

local function check_native_format(config, provider)
  local format = config.llm_format
  if format ~= "bedrock" and format ~= "gemini" then
    return true
  end
  if config.route_type ~= "llm/v1/chat" then
    return nil, "native provider options in llm_format can only be used with the 'llm/v1/chat' "
      .. "route_type"
  elseif provider ~= format then
    return nil, "native llm_format '" .. format .. "' can only be used with the '" .. format
      .. "' model.provider"
  end
  return true
end

local REQUIRED = {
  llama2 = { "llama2_format" },
  mistral = { "mistral_format" },
  anthropic = { "anthropic_version" },
  azure = { "azure_instance", "azure_api_version", "azure_deployment_id" },
}

local function check_provider_options(config)
  local set, provider = options_of(config)
  for _, name in ipairs(REQUIRED[provider] or {}) do
    if not given(set[name]) then
      return nil, "must set 'model.options." .. name .. "' for " .. provider .. " provider"
    end
  end
  if NEEDS_URL[provider] and not given(set.upstream_url) then
    return nil, "must set 'model.options.upstream_url' for self-hosted providers/models"
  end
  return true
end

local function check_provider(config)
  local _, provider = options_of(config)
  local credentials = given(config.auth) and config.auth or {}
  if (provider == "bedrock" or provider == "gemini") and credentials.allow_override == true then
    return nil, "bedrock and gemini only support auth.allow_override = false"
  end
  local logging = given(config.logging) and config.logging or {}
  if provider == "anthropic" and config.route_type == "llm/v1/completions"
    and logging.log_statistics == true then
    return nil, "anthropic does not support statistics when route_type is llm/v1/completions"
  end
  local ok, err = check_native_format(config, provider)
  if not ok then
    return nil, err
  end
  return check_provider_options(config)
end

return {
  type = "record",
  fields = {
    text("route_type", { required = true, one_of = ROUTE_TYPES }),
    text("llm_format", {
      default = "openai",
      one_of = { "openai", "bedrock", "gemini", "anthropic", "cohere", "huggingface" },
    }),
    text("genai_category", {
      default = "text/generation",
      one_of = {
        "text/generation", "text/embeddings", "audio/speech", "audio/transcription",
        "image/generation", "realtime/generation", "video/generation",
      },
    }),
    text("response_streaming", { default = "allow", one_of = { "allow", "deny", "always" } }),
    { max_request_body_size = { type = "integer", default = 1048576, gt = 0 } },
    flag("model_name_header", true),
    record("auth", auth),
    { logging = { type = "record", required = true, fields = {
      flag("log_statistics", false), flag("log_payloads", false),
    } } },
    { model = { type = "record", required = true, fields = {
      text("provider", { required = true, one_of = PROVIDERS }),
      text("name"),
      text("model_alias"),
      record("options", options),
    } } },
  },
  entity_checks = {
    { mutually_required = { "auth.header_name", "auth.header_value" } },
    { mutually_required = { "auth.param_name", "auth.param_value", "auth.param_location" } },
    { custom_entity_check = {
      field_sources = { "llm_format", "route_type", "model", "auth", "logging" },
      fn = check_provider,
    } },
  },
}
