local cjson = require "cjson"
local fixtures = require "lualib.ai.fixtures"
local gateway = require "plugins.ai-proxy.gateway"
local openai_fixtures = require "lualib.ai.openai_fixtures"

local BODY = '{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}'
local STREAM_BODY = BODY:gsub("}$", ',"stream":true}')

local function conf(provider, more)
  local out = {
    route_type = "llm/v1/chat", llm_format = "anthropic", response_streaming = "allow",
    max_request_body_size = 1048576, model_name_header = true,
    logging = { log_statistics = true, log_payloads = false },
    auth = { header_name = provider == "openai" and "Authorization" or "x-api-key",
      header_value = "k" },
    model = { provider = provider, name = "m", options = { anthropic_version = "2023-06-01" } },
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

describe("ai-proxy for clients of Anthropic's format", function()
  describe("with an OpenAI-shaped provider", function()
    local CONF = conf("openai")

    it("translates the request and keeps the client's key from the provider", function()
      local g = access(CONF, { body = STREAM_BODY })
      assert.same({ model = "m", max_completion_tokens = 5, stream = true,
        stream_options = { include_usage = true },
        messages = { { role = "user", content = "hi" } } }, cjson.decode(g.x.body))
      assert.equal("/v1/chat/completions", g.x.path)
      assert.is_true(g.unsent["x-api-key"])
      assert.equal("k", g.sent.authorization)
      assert.is_nil(g.x.tap_kind)
    end)

    it("translates the answer", function()
      local g = access(CONF, { body = BODY,
        answer = { status = 200, body = openai_fixtures.document } })
      g.handler:response()
      assert.equal("tool_use", cjson.decode(g.exited.body).stop_reason)
      g.handler:log()
      assert.equal(18, g.logged["ai.proxy.usage"].prompt_tokens)
    end)

    it("translates a stream", function()
      local g = access(CONF, { body = STREAM_BODY, answer = { status = 200 } })
      local out = gateway.stream(g, { openai_fixtures.text })
      assert.matches("^event: message_start\n", out)
      assert.matches('data: {"type":"message_stop"}\n\n$', out)
      g.handler:log()
      assert.equal(7, g.logged["ai.proxy.usage"].completion_tokens)
    end)

    it("gives the provider's errors Anthropic's shape, whole and on a stream", function()
      local expected = '{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}'
      local answer = { status = 429, body = '{"error":{"message":"slow"}}' }
      local g = access(CONF, { body = BODY, answer = answer })
      g.handler:response()
      assert.same({ 429, expected }, { g.exited.status, g.exited.body })
      g = access(CONF, { body = STREAM_BODY, answer = answer })
      assert.equal(expected, gateway.stream(g, { '{"error":{"mess', 'age":"slow"}}' }))
      assert.equal("application/json; charset=utf-8", g.headers["Content-Type"])
    end)

    it("refuses in Anthropic's shape", function()
      local g = access(CONF, { body = "{}" })
      assert.equal(400, g.exited.status)
      assert.equal('{"type":"error","error":{"type":"invalid_request_error",'
        .. '"message":"request body doesn\'t contain valid prompts"}}', g.exited.body)
    end)
  end)

  describe("with Anthropic", function()
    local CONF = conf("anthropic")

    it("lets request and answer pass byte for byte, and counts", function()
      local g = access(CONF, { body = STREAM_BODY, answer = { status = 200 } })
      assert.equal(STREAM_BODY, g.x.body)
      assert.is_nil(g.x.calls.body_get)
      assert.equal("/v1/messages", g.x.path)
      assert.same({ body_filter = true, log = true }, g.x.wants)
      assert.equal(fixtures.text, gateway.stream(g, { fixtures.text:sub(1, 50),
        fixtures.text:sub(51) }))
      g.handler:log()
      assert.same({ 18, 7 }, { g.logged["ai.proxy.usage"].prompt_tokens,
        g.logged["ai.proxy.usage"].completion_tokens })
      assert.equal("claude-x", g.logged["ai.proxy.meta"].response_model)
    end)

    it("counts a whole answer too", function()
      local g = access(CONF, { body = BODY, answer = { status = 200 } })
      assert.equal(fixtures.document, gateway.stream(g, { fixtures.document }))
      g.handler:log()
      assert.equal(17, g.logged["ai.proxy.usage"].total_tokens)
      assert.is_nil(g.kong.ctx.shared.ai.truncated)
    end)

    it("stays out of the answer when nobody counts", function()
      local g = access(conf("anthropic", { logging = {} }), { body = BODY })
      assert.same({}, g.x.wants)
      assert.is_nil(g.sent["accept-encoding"])
    end)
  end)

  it("is served for chat only", function()
    local g = access(conf("openai", { route_type = "llm/v1/completions" }), { body = BODY })
    assert.matches("no transformer available to format openai://llm/v1/completions for llm_format "
      .. "'anthropic'", g.exited.body)
  end)
end)
