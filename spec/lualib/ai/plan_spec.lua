local plans = require "moongate.ai.plan"
local template = require "moongate.ai.template"
local url = require "moongate.ai.url"

local function lookup_of(values)
  local function from(source)
    return function(name)
      return (values[source] or {})[name]
    end
  end
  return {
    headers = from("headers"), uri_captures = from("uri_captures"),
    query_params = from("query_params"),
  }
end

local function build(provider, options, more, lookup)
  local conf = { route_type = "llm/v1/chat", model = { provider = provider, options = options } }
  for name, value in pairs(more or {}) do
    conf[name] = value
  end
  return plans.build(conf, lookup)
end

local function address(provider, options, route_type)
  local plan = assert(build(provider, options, { route_type = route_type or "llm/v1/chat" }))
  local target = plan.target
  return target.scheme .. "://" .. target.host .. ":" .. target.port .. (target.path or "")
end

describe("ai.plan targets", function()
  it("know every OpenAI-shaped provider", function()
    local self_hosted = { upstream_url = "http://127.0.0.1:8000" }
    for _, case in ipairs({
      { "openai", nil, "https://api.openai.com:443/v1/chat/completions" },
      { "mistral", { mistral_format = "openai" },
        "https://api.mistral.ai:443/v1/chat/completions" },
      { "deepseek", nil, "https://api.deepseek.com:443/v1/chat/completions" },
      { "xai", nil, "https://api.x.ai:443/v1/chat/completions" },
      { "cerebras", nil, "https://api.cerebras.ai:443/v1/chat/completions" },
      { "dashscope", nil,
        "https://dashscope-intl.aliyuncs.com:443/compatible-mode/v1/chat/completions" },
      { "dashscope", { dashscope = { international = false } },
        "https://dashscope.aliyuncs.com:443/compatible-mode/v1/chat/completions" },
      { "databricks", { databricks = { workspace_instance_id = "dbc-1" } },
        "https://dbc-1.cloud.databricks.com:443/serving-endpoints/v1/chat/completions" },
      { "azure", { azure_instance = "inst", azure_deployment_id = "gpt 4/o" },
        "https://inst.openai.azure.com:443/openai/deployments/gpt%204%2Fo/chat/completions" },
      { "vllm", self_hosted, "http://127.0.0.1:8000/v1/chat/completions" },
      { "ollama", self_hosted, "http://127.0.0.1:8000/v1/chat/completions" },
      { "llama2", { llama2_format = "openai", upstream_url = "http://127.0.0.1:8000/a/b" },
        "http://127.0.0.1:8000/a/b" },
      { "anthropic", nil, "https://api.anthropic.com:443/v1/messages" },
    }) do
      assert.equal(case[3], address(case[1], case[2]))
    end
    assert.equal("https://api.openai.com:443/v1/embeddings",
      address("openai", nil, "llm/v1/embeddings"))
    assert.equal("https://api.openai.com:443", address("openai", nil, "preserve"))
  end)

  it("keep the route type's path when upstream_url has none", function()
    for _, given in ipairs({ "https://llm.test", "https://llm.test/", "https://llm.test:443" }) do
      assert.equal("https://llm.test:443/v1/chat/completions",
        address("openai", { upstream_url = given }))
    end
    assert.equal("https://llm.test:8443/x", address("openai",
      { upstream_url = "https://llm.test:8443/x" }))
  end)

  it("say what cannot be served", function()
    for _, case in ipairs({
      { "cohere", nil, "no transformer available to format cohere://llm/v1/chat" },
      { "gemini", nil, "no transformer available to format gemini://llm/v1/chat" },
      { "bedrock", nil, "no transformer available to format bedrock://llm/v1/chat" },
      { "llama2", { llama2_format = "raw", upstream_url = "http://127.0.0.1" },
        "no transformer available to format llama2://llm/v1/chat" },
      { "mistral", { mistral_format = "ollama" },
        "no transformer available to format mistral://llm/v1/chat" },
      { "vllm", nil, "must set 'model.options.upstream_url' for self-hosted providers/models" },
      { "azure", { azure_instance = "a/b", azure_deployment_id = "d" },
        "invalid host name 'a/b.openai.azure.com' for provider azure" },
    }) do
      local plan, err = build(case[1], case[2])
      assert.is_nil(plan)
      assert.equal(case[3], err:sub(1, #case[3]))
    end
    local _, err = build("anthropic", nil, { route_type = "llm/v1/embeddings" })
    assert.equal("no transformer available to format anthropic://llm/v1/embeddings", err)
    _, err = build("openai", nil, { route_type = "llm/v1/responses" })
    assert.equal("no transformer available to format openai://llm/v1/responses", err)
  end)
end)

describe("ai.plan templates", function()
  it("resolve model, options and URL from the request", function()
    local lookup = lookup_of({
      headers = { ["x-model"] = "gpt-4o" }, uri_captures = { team = "red" },
      query_params = { v = "2024-10-21" },
    })
    local conf = { route_type = "llm/v1/chat", model = { provider = "azure",
      name = "$(headers.x-model)", options = { azure_instance = "$(uri_captures.team)-eu",
        azure_deployment_id = "d", azure_api_version = "$(query_params.v)" } } }
    assert.is_true(plans.is_dynamic(conf))
    local plan = assert(plans.build(conf, lookup))
    assert.equal("gpt-4o", plan.model)
    assert.equal("red-eu.openai.azure.com", plan.target.host)
    assert.equal("2024-10-21", plan.options.azure_api_version)
    assert.is_false(plans.is_dynamic({ model = { name = "gpt-4o", options = { top_p = 1 } } }))
  end)

  it("refuse a client's value that would lead elsewhere", function()
    local function with(value)
      return build("openai", { upstream_url = "https://$(headers.h).llm.test/m/$(headers.p)" }, nil,
        lookup_of({ headers = { h = value, p = "a" } }))
    end
    assert.equal("eu.llm.test", with("eu").target.host)
    for _, bad in ipairs({ "evil.test/", "a@b", "a:1", "a..b", "a?b", "a#b", "a\r\nb", "%2e" }) do
      local plan, err = with(bad)
      assert.is_nil(plan)
      assert.matches("holds characters not allowed here", err)
    end
    local plan = build("openai", { upstream_url = "https://llm.test/m/$(headers.p)" }, nil,
      lookup_of({ headers = { p = "../admin" } }))
    assert.is_nil(plan)
  end)

  it("answer with Kong's texts", function()
    local lookup = lookup_of({})
    local _, err = template.resolve("$(uri_captures.uri_cap_3)", lookup)
    assert.equal("uri_captures key uri_cap_3 was not provided", err)
    for _, bad in ipairs({ "$(uri_captures_uri_cap_1)", "$(env.HOME)", "$(headers.)", "$(a.b.c)",
      "$(headers.x" }) do
      _, err = template.resolve(bad, lookup)
      assert.equal("cannot parse expression for field '" .. bad .. "'", err)
    end
  end)

  it("replace every expression of a value", function()
    assert.equal("a-1-b-2", template.resolve("a-$(headers.x)-b-$(headers.y)",
      lookup_of({ headers = { x = "1", y = "2" } })))
    assert.equal("100% $x", template.resolve("100% $x", nil))
  end)
end)

describe("ai.url", function()
  it("parses strictly", function()
    assert.same({ scheme = "http", host = "[::1]", port = 8080, path = "/v1", query = "a=b" },
      url.parse("HTTP://[::1]:8080/v1?a=b"))
    for _, bad in ipairs({ "llm.test", "ftp://x", "http://", "http://:80", "http://x:0",
      "http://x:65536", "http://x:", "http://x:8a", "http://u@x/", "http://x/#f", "http://x/a b",
      "http://x/../y", "http://x/%2e%2E/y", "http://x/a/..", "http://[::1", "http://x/\n" }) do
      local target, err = url.parse(bad)
      assert.is_nil(target, bad)
      assert.matches("^invalid provider URL", err)
    end
  end)

  it("knows which model names may stand in a path", function()
    for _, good in ipairs({ "gpt-4o", "meta/llama-3:8b", "a@1.0_b" }) do
      assert.is_true(url.is_model_name(good))
    end
    for _, bad in ipairs({ "", "..", "a/../b", "/etc", "a b", "a%2e", "a?b", "a\nb", "a#" }) do
      assert.is_false(url.is_model_name(bad), bad)
    end
  end)

  it("edits raw queries", function()
    assert.equal("a=1&c", url.without_arg("a=1&k%65y=x&key=2&c", "key"))
    assert.is_true(url.has_arg("a=1&k%65y", "key"))
    assert.is_false(url.has_arg("keys=1", "key"))
    assert.equal("a%26b%3D", url.escape("a&b="))
  end)
end)
