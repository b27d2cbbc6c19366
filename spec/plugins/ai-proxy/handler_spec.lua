local cjson = require "cjson"
local fixtures = require "lualib.ai.fixtures"
local gateway = require "plugins.ai-proxy.gateway"

local BODY = '{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
local STREAM_BODY = '{"messages":[{"role":"user","content":"hi"}],"stream":true}'

local function conf(provider, options, more)
  local out = {
    route_type = "llm/v1/chat", llm_format = "openai", response_streaming = "allow",
    max_request_body_size = 1048576, model_name_header = true,
    logging = { log_statistics = true, log_payloads = false },
    auth = { header_name = "Authorization", header_value = "Bearer k", allow_override = false },
    model = { provider = provider, name = provider == "openai" and "gpt-4o" or "claude",
      options = options or {} },
  }
  for name, value in pairs(more or {}) do
    out[name] = value
  end
  return out
end

local function access(config, spec)
  local g = gateway.new(spec)
  g.handler:access(config)
  return g
end

describe("ai-proxy access", function()
  it("has Kong's priority and opts into the phases a stream needs", function()
    local handler = gateway.new({}).handler
    assert.equal(770, handler.PRIORITY)
    assert.same({ response = true, header_filter = true, body_filter = true, log = true },
      handler.OPTIONAL)
  end)

  it("sends an OpenAI request on, body untouched, key replaced", function()
    local g = access(conf("openai"), { body = BODY,
      headers = { ["Content-Type"] = "application/json", Authorization = "Bearer client" } })
    assert.is_nil(g.exited)
    assert.same({ scheme = "https", host = "api.openai.com", port = 443 }, g.x.target)
    assert.equal("/v1/chat/completions", g.x.path)
    assert.equal(BODY, g.x.body)
    assert.equal("Bearer k", g.sent.authorization)
    assert.equal("identity", g.sent["accept-encoding"])
    assert.same({ log = true }, g.x.wants)
    assert.same({ "openai", false }, { g.x.tap_kind, g.x.hide_usage })
    assert.equal("openai/gpt-4o", g.x.success["X-Kong-LLM-Model"])
    assert.is_true(g.x.dropped["Set-Cookie"])
  end)

  it("hides usage from a client that did not ask for it", function()
    assert.is_true(access(conf("openai"), { body = STREAM_BODY }).x.hide_usage)
    local asked = STREAM_BODY:gsub("}$", ',"stream_options":{"include_usage":true}}')
    assert.is_false(access(conf("openai"), { body = asked }).x.hide_usage)
  end)

  it("does nothing about the answer when nobody wants to know", function()
    local g = access(conf("openai", nil, { logging = {}, model_name_header = false }),
      { body = BODY })
    assert.is_nil(g.x.tap_kind)
    assert.is_nil(g.sent["accept-encoding"])
    assert.same({}, g.x.success)
    assert.same({}, g.x.wants)
  end)

  it("treats a missing content type as JSON and says so upstream", function()
    local g = access(conf("openai"), { body = BODY, headers = {} })
    assert.is_nil(g.exited)
    assert.equal("application/json", g.sent["content-type"])
  end)

  it("takes JSON of any content type, and says so upstream", function()
    for _, name in ipairs { "text/plain", "application/x-www-form-urlencoded" } do
      local g = access(conf("openai"), { body = BODY, headers = { ["Content-Type"] = name } })
      assert.is_nil(g.exited)
      assert.equal("application/json", g.sent["content-type"])
    end
  end)

  it("refuses another content type without JSON, and passes a multipart form unread", function()
    local g = access(conf("openai"), { body = "a=b", headers = { ["Content-Type"] = "text/plain" } })
    assert.same({ status = 400, body = { error = { message = "content-type header does not match "
      .. "request body, or bad JSON formatting" } } }, g.exited)
    g = access(conf("openai"),
      { body = "--x", headers = { ["Content-Type"] = "multipart/form-data; boundary=x" } })
    assert.is_nil(g.exited)
    assert.is_nil(g.x.read)
    assert.equal("api.openai.com", g.x.target.host)
  end)

  it("refuses another model, or replaces it where the node says so", function()
    local other = BODY:gsub("gpt%-4o", "gpt-5")
    local g = access(conf("openai"), { body = other })
    assert.equal("cannot use own model - must be: gpt-4o", g.exited.body.error.message)
    g = access(conf("openai"), { body = other, settings = { ai_model_mismatch = "replace" } })
    assert.is_nil(g.exited)
    assert.equal(BODY, g.x.body)
  end)

  it("refuses a bad request before it names a target", function()
    local g = access(conf("openai"), { body = "{" })
    assert.same({ status = 400, body = { error = {
      message = "request body doesn't contain valid prompts" } } }, g.exited)
    assert.is_nil(g.x.target)
    assert.is_nil(g.kong.ctx.plugin.call)
  end)

  it("keeps the client's key when the configuration allows it", function()
    local auth = { header_name = "Authorization", header_value = "Bearer k", allow_override = true }
    local headers = { ["Content-Type"] = "application/json", authorization = "Bearer client" }
    assert.is_nil(access(conf("openai", nil, { auth = auth }),
      { body = BODY, headers = headers }).sent.authorization)
    assert.equal("Bearer k", access(conf("openai", nil, { auth = auth }),
      { body = BODY }).sent.authorization)
  end)

  it("puts the key in the query, in place of the client's", function()
    local auth = { param_name = "key", param_value = "a&b", param_location = "query" }
    local g = access(conf("openai", nil, { auth = auth }), { body = BODY, query = "x=1&key=mine" })
    assert.equal("x=1&key=a%26b", g.x.query)
    auth.allow_override = true
    g = access(conf("openai", nil, { auth = auth }), { body = BODY, query = "key=mine" })
    assert.equal("key=mine", g.x.query)
  end)

  it("puts the key in the body", function()
    local auth = { param_name = "api_key", param_value = 'a"b', param_location = "body" }
    local g = access(conf("openai", nil, { auth = auth }), { body = BODY })
    assert.equal('a"b', cjson.decode(g.x.body).api_key)
    g = access(conf("anthropic", nil, { auth = auth }), { body = STREAM_BODY })
    assert.equal('a"b', cjson.decode(g.x.body).api_key)
  end)

  it("adds Azure's version unless the client names one", function()
    local options = { azure_instance = "i", azure_deployment_id = "d",
      azure_api_version = "2024-10-21" }
    local azure = conf("azure", options, { model = { provider = "azure", options = options } })
    local g = access(azure, { body = BODY })
    assert.equal("api-version=2024-10-21", g.x.query)
    assert.equal("/openai/deployments/d/chat/completions", g.x.path)
    g = access(azure, { body = BODY, query = "api-version=mine" })
    assert.equal("api-version=mine", g.x.query)
  end)

  it("leaves path and body alone for route type preserve", function()
    local g = access(conf("openai", nil, { route_type = "preserve" }), { body = "anything" })
    assert.is_nil(g.x.path)
    assert.is_nil(g.x.read)
    assert.equal("anything", g.x.body)
    assert.equal("openai/gpt-4o", g.x.success["X-Kong-LLM-Model"])
  end)

  it("resolves templates per request", function()
    local config = conf("openai", { upstream_url = "https://$(headers.x-region).llm.test/v1" })
    local function region(name)
      return access(config, { body = BODY,
        headers = { ["Content-Type"] = "application/json", ["x-region"] = name } })
    end
    assert.equal("eu.llm.test", region("eu").x.target.host)
    assert.equal("us.llm.test", region("us").x.target.host)
    assert.same({ error = { message = "headers key x-region was not provided" } },
      region(nil).exited.body)
  end)

  it("says which provider it cannot translate to", function()
    local g = access(conf("cohere"), { body = BODY })
    assert.same({ status = 400, body = { error = {
      message = "no transformer available to format cohere://llm/v1/chat" } } }, g.exited)
  end)
end)

describe("ai-proxy with Anthropic", function()
  local CONF = conf("anthropic", { anthropic_version = "2023-06-01", max_tokens = 99 },
    { auth = { header_name = "x-api-key", header_value = "k" } })

  it("translates the request", function()
    local g = access(CONF, { body = BODY:gsub("gpt%-4o", "claude") })
    assert.same({ model = "claude", max_tokens = 99, stream = false,
      messages = { { role = "user", content = "hi" } } }, cjson.decode(g.x.body))
    assert.same({ "2023-06-01", "k", "identity" }, { g.sent["anthropic-version"],
      g.sent["x-api-key"], g.sent["accept-encoding"] })
    assert.equal("/v1/messages", g.x.path)
    assert.same({ response = true, log = true }, g.x.wants)
  end)

  it("translates the answer and logs its usage", function()
    local g = access(CONF, { body = BODY:gsub("gpt%-4o", "claude"),
      answer = { status = 200, body = fixtures.document } })
    g.handler:response()
    assert.equal(200, g.exited.status)
    assert.equal("anthropic/claude", g.exited.headers["X-Kong-LLM-Model"])
    assert.equal("Hello", cjson.decode(g.exited.body).choices[1].message.content)
    g.now = g.now + 2
    g.handler:log()
    local usage = g.logged["ai.proxy.usage"]
    assert.same({ 10, 7, 17, 2000 / 7 }, { usage.prompt_tokens, usage.completion_tokens,
      usage.total_tokens, usage.time_per_token })
    assert.is_nil(usage.estimated)
    assert.equal("claude-x", g.logged["ai.proxy.meta"].response_model)
  end)

  it("gives a whole answer when the provider streams unasked", function()
    local body = BODY:gsub("gpt%-4o", "claude")
    local g = access(CONF, { body = body, answer = { status = 200, body = fixtures.tools } })
    g.handler:response()
    assert.equal("Let me see", cjson.decode(g.exited.body).choices[1].message.content)
    g = access(CONF, { body = body, answer = { status = 200, body = fixtures.text:sub(1, 400) } })
    g.handler:response()
    assert.equal(500, g.exited.status)
    assert.matches("closed the stream before its end", g.exited.body.error.message)
  end)

  it("leaves a provider's error as it is", function()
    local g = access(CONF, { body = BODY:gsub("gpt%-4o", "claude"),
      answer = { status = 401, body = "{}" } })
    g.handler:response()
    assert.is_nil(g.exited)
    g.handler:log()
    assert.is_nil(g.logged["ai.proxy.usage"])
    assert.equal("anthropic", g.logged["ai.proxy.meta"].provider_name)
  end)

  it("answers 500 to a wrong body and 502 to a compressed one", function()
    local body = BODY:gsub("gpt%-4o", "claude")
    local g = access(CONF, { body = body, answer = { status = 200, body = "{}" } })
    g.handler:response()
    assert.same({ status = 500, body = { error = { message = "transformation failed from type "
      .. "anthropic://llm/v1/chat: 'content' not in anthropic://llm/v1/chat response" } } },
      g.exited)
    g = access(CONF, { body = body,
      answer = { status = 200, headers = { ["Content-Encoding"] = "gzip" } } })
    g.handler:response()
    assert.equal(502, g.exited.status)
  end)

  it("translates a stream event by event", function()
    local g = access(CONF, { body = STREAM_BODY, answer = { status = 200 } })
    assert.same({ header_filter = true, body_filter = true, log = true }, g.x.wants)
    local out = gateway.stream(g, { fixtures.text:sub(1, 100), fixtures.text:sub(101) })
    assert.equal("text/event-stream", g.headers["Content-Type"])
    assert.is_true(g.cleared["Content-Length"])
    assert.matches("data: %[DONE%]\n\n$", out)
    assert.is_nil(out:find("usage", 1, true))
    g.handler:log()
    assert.equal(18, g.logged["ai.proxy.usage"].prompt_tokens)
    assert.equal("stream", g.logged["ai.proxy.meta"].request_mode)
    assert.is_nil(g.kong.ctx.shared.ai.truncated)
  end)

  it("gives the client's wish for usage to the stream", function()
    local body = STREAM_BODY:gsub("}$", ',"stream_options":{"include_usage":true}}')
    local g = access(CONF, { body = body, answer = { status = 200 } })
    assert.matches('"usage":{"prompt_tokens":18', gateway.stream(g, { fixtures.text }))
  end)

  it("ends a truncated stream with an error, and logs it as truncated", function()
    local g = access(CONF, { body = STREAM_BODY, answer = { status = 200 } })
    local out = gateway.stream(g, { fixtures.text:sub(1, 300) })
    assert.matches("provider closed the stream before its end", out)
    assert.is_nil(out:find("[DONE]", 1, true))
    g.handler:log()
    assert.is_true(g.kong.ctx.shared.ai.truncated)
  end)

  it("passes an error answer to a stream request untouched", function()
    local g = access(CONF, { body = STREAM_BODY, answer = { status = 529 } })
    assert.equal('{"type":"error"}', gateway.stream(g, { '{"type"', ':"error"}' }))
    assert.is_nil(g.headers["Content-Type"])
  end)

  it("refuses what Anthropic cannot do", function()
    local g = access(CONF, { body = STREAM_BODY:gsub("}$", ',"n":3}') })
    assert.same({ error = { message = "n must be 1: Anthropic answers with one choice" } },
      g.exited.body)
  end)
end)

describe("ai-proxy log", function()
  it("logs what the tap saw and hands it to metrics", function()
    local g = access(conf("openai", { input_cost = 2, output_cost = 10 }), { body = BODY,
      tap = { prompt_tokens = 100, completion_tokens = 50, total_tokens = 150, cached_tokens = 20,
        model = "gpt-4o-2024-08-06", finish_reason = "stop", stream = false } })
    g.now = g.now + 0.5
    g.handler:log()
    assert.same({ plugin_id = "plugin-1", provider_name = "openai", request_model = "gpt-4o",
      response_model = "gpt-4o-2024-08-06", llm_latency = 500, request_mode = "oneshot" },
      g.logged["ai.proxy.meta"])
    assert.same({ prompt_tokens = 100, completion_tokens = 50, total_tokens = 150,
      time_per_token = 10, cost = 0.0007, prompt_tokens_details = { cached_tokens = 20 } },
      g.logged["ai.proxy.usage"])
    assert.same({ "openai", "gpt-4o", 100, 50, 150, 0.0007, false }, {
      g.kong.ctx.shared.ai.provider, g.kong.ctx.shared.ai.model,
      g.kong.ctx.shared.ai.prompt_tokens, g.kong.ctx.shared.ai.completion_tokens,
      g.kong.ctx.shared.ai.total_tokens, g.kong.ctx.shared.ai.cost,
      g.kong.ctx.shared.ai.estimated })
  end)

  it("flags counts it had to estimate", function()
    local g = access(conf("openai"), { body = STREAM_BODY,
      tap = { stream = true, events = 9, content_bytes = 41, terminal = true } })
    g.handler:log()
    assert.is_true(g.logged["ai.proxy.usage"].estimated)
    assert.equal(11, g.logged["ai.proxy.usage"].completion_tokens)
  end)

  it("logs nothing without log_statistics, nor after a refusal", function()
    local g = access(conf("openai", nil, { logging = {} }), { body = BODY })
    g.handler:log()
    assert.same({}, g.logged)
    g = access(conf("openai"), { body = "{" })
    g.handler:log()
    assert.same({}, g.logged)
  end)

  it("logs payloads: what the client sent, what it got", function()
    local g = access(conf("openai", nil, { logging = { log_payloads = true } }), { body = BODY })
    assert.same({ body_filter = true, log = true }, g.x.wants)
    assert.equal("answer", gateway.stream(g, { "ans", "wer" }))
    g.handler:log()
    assert.same({ request = BODY, response = "answer" }, g.logged["ai.proxy.payload"])
  end)
end)
