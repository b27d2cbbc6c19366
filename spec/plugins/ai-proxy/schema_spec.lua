local Schema = require "moongate.schema"
local definition = require "kong.plugins.ai-proxy.schema"

local schema = assert(Schema.new(definition))

local function process(config)
  local out, failed = schema:process({ protocols = { "http" }, config = config })
  return out and out.config, failed and failed.config
end

local function config_of(provider, options, more)
  local out = {
    route_type = "llm/v1/chat", model = { provider = provider, name = "m", options = options },
  }
  for name, value in pairs(more or {}) do
    out[name] = value
  end
  return out
end

local function entity_error(provider, options, more)
  local out, failed = process(config_of(provider, options, more))
  assert.is_nil(out)
  return failed["@entity"] and failed["@entity"][1] or failed
end

describe("ai-proxy schema", function()
  it("takes the published example and fills Kong's defaults", function()
    local out, failed = process({
      route_type = "llm/v1/chat",
      auth = { header_name = "Authorization", header_value = "Bearer x" },
      model = { provider = "openai", name = "gpt-4o", options = { max_tokens = 512 } },
    })
    assert.is_nil(failed)
    assert.same({ "openai", "allow", 1048576, true, "text/generation" }, { out.llm_format,
      out.response_streaming, out.max_request_body_size, out.model_name_header,
      out.genai_category })
    assert.same({ log_statistics = false, log_payloads = false }, out.logging)
    assert.is_false(out.auth.allow_override)
    assert.equal("2023-05-15", out.model.options.azure_api_version)
  end)

  it("takes every route type and provider of 3.14", function()
    for _, route_type in ipairs({ "llm/v1/responses", "preserve", "realtime/v1/realtime" }) do
      assert.is_table((process(config_of("openai", nil, { route_type = route_type }))))
    end
    for _, provider in ipairs({ "bedrock", "gemini", "cohere", "xai", "cerebras", "deepseek",
      "huggingface", "dashscope", "databricks", "openai" }) do
      assert.is_table((process(config_of(provider))))
    end
  end)

  it("wants what each provider needs", function()
    for _, case in ipairs({
      { "llama2", {}, "must set 'model.options.llama2_format' for llama2 provider" },
      { "mistral", {}, "must set 'model.options.mistral_format' for mistral provider" },
      { "anthropic", {}, "must set 'model.options.anthropic_version' for anthropic provider" },
      { "anthropic", nil, "must set 'model.options.anthropic_version' for anthropic provider" },
      { "azure", {}, "must set 'model.options.azure_instance' for azure provider" },
      { "azure", { azure_instance = "i" },
        "must set 'model.options.azure_deployment_id' for azure provider" },
      { "llama2", { llama2_format = "raw" },
        "must set 'model.options.upstream_url' for self-hosted providers/models" },
      { "vllm", {}, "must set 'model.options.upstream_url' for self-hosted providers/models" },
    }) do
      assert.equal(case[3], entity_error(case[1], case[2]))
    end
  end)

  it("checks combinations with Kong's texts", function()
    assert.equal("all or none of these fields must be set: 'auth.header_name', 'auth.header_value'",
      entity_error("openai", nil, { auth = { header_name = "a" } }))
    assert.equal("all or none of these fields must be set: 'auth.param_name', "
      .. "'auth.param_value', 'auth.param_location'",
      entity_error("openai", nil, { auth = { param_name = "a", param_value = "b" } }))
    assert.equal("bedrock and gemini only support auth.allow_override = false",
      entity_error("gemini", nil, { auth = { allow_override = true } }))
    assert.equal("anthropic does not support statistics when route_type is llm/v1/completions",
      entity_error("anthropic", { anthropic_version = "2023-06-01" },
        { route_type = "llm/v1/completions", logging = { log_statistics = true } }))
    assert.equal("native provider options in llm_format can only be used with the 'llm/v1/chat' "
      .. "route_type", entity_error("gemini", nil,
        { llm_format = "gemini", route_type = "llm/v1/completions" }))
    assert.equal("native llm_format 'bedrock' can only be used with the 'bedrock' model.provider",
      entity_error("openai", nil, { llm_format = "bedrock" }))
    local _, failed = process(config_of("gemini", { gemini = { project_id = "p" } }))
    assert.equal("all or none of these fields must be set: 'api_endpoint', 'project_id', "
      .. "'location_id'", failed.model.options.gemini["@entity"][1])
  end)

  it("checks ranges and names the field", function()
    local _, failed = process(config_of("openai", { temperature = 6, top_p = 2, top_k = 501,
      input_cost = 0, upstream_url = "api.test/v1" }))
    local options = failed.model.options
    for _, name in ipairs({ "temperature", "top_p", "top_k", "input_cost" }) do
      assert.is_string(options[name], name)
    end
    assert.equal("invalid provider URL 'api.test/v1': it must begin with http:// or https://",
      options.upstream_url)
    _, failed = process(config_of("openai", nil, { max_request_body_size = 0 }))
    assert.is_string(failed.max_request_body_size)
  end)

  it("takes templates where a URL or a name stands", function()
    assert.is_table((process(config_of("openai",
      { upstream_url = "https://$(headers.region).llm.test/v1" }))))
  end)
end)
