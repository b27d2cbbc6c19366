local fake = require "lualib.ai.fake_exchange"
local plans = require "moongate.ai.plan"
local request = require "moongate.ai.request"

local function conf(over)
  local out = {
    route_type = "llm/v1/chat", llm_format = "openai", response_streaming = "allow",
    max_request_body_size = 1048576, model_name_header = true,
    logging = { log_statistics = false, log_payloads = false },
    model = { provider = "openai", name = "gpt-4o", options = {} },
  }
  for name, value in pairs(over or {}) do
    out[name] = value
  end
  return out
end

local function model(provider, name, options)
  return { provider = provider, name = name, options = options or {} }
end

local function run(body, over)
  local x = fake.new({ body = body })
  local plan = assert(plans.build(conf(over)))
  local call, err, why = request.normalise(x, plan)
  return x.state, call, err, why
end

local HI = '"messages":[ {"role":"user", "content":"hi \\u00e9"} ]'

describe("ai.request", function()
  it("leaves a fitting body byte for byte", function()
    local body = '{ "model":"gpt-4o", ' .. HI .. ',"x":12345678901234567890, "e":[]}'
    local state, call = run(body)
    assert.equal(body, state.body)
    assert.is_nil(state.edits)
    assert.same({ "gpt-4o", false }, { call.model, call.stream })
  end)

  it("never copies the messages nor the body", function()
    local state = run('{"model":"gpt-4o",' .. HI .. ',"stream":true}',
      { logging = { log_statistics = true } })
    assert.is_nil(state.calls["json_raw:messages"])
    assert.is_nil(state.calls.body_get)
  end)

  it("adds the configured model and replaces null", function()
    assert.equal("{" .. HI .. ',"model":"gpt-4o"}', run("{" .. HI .. "}").body)
    assert.equal('{"model":"gpt-4o",' .. HI .. "}", run('{"model":null,' .. HI .. "}").body)
  end)

  it("takes the client's model when none is configured", function()
    local _, call = run('{"model":"mine",' .. HI .. "}", { model = model("openai") })
    assert.equal("mine", call.model)
  end)

  it("replaces the client's options by the configured ones", function()
    local options = { max_tokens = 512, temperature = 0.5, top_k = 4 }
    local state = run('{"model":"m",' .. HI .. ',"temperature":2,"top_k":9,"top_p":1}',
      { model = model("openai", "m", options) })
    assert.equal('{"model":"m",' .. HI .. ',"temperature":0.5,"top_p":1,"max_tokens":512}',
      state.body)
    state = run('{"model":"m",' .. HI .. "}", { model = model("vllm", "m",
      { top_k = 4, upstream_url = "http://127.0.0.1:8000" }) })
    assert.equal('{"model":"m",' .. HI .. ',"top_k":4}', state.body)
  end)

  it("holds the cap of max_tokens under its newer name too", function()
    local state = run('{"model":"m","max_tokens":9000,"max_completion_tokens":9000,' .. HI .. "}",
      { model = model("openai", "m", { max_tokens = 512 }) })
    assert.equal('{"model":"m","max_completion_tokens":512,'
      .. '"messages":[ {"role":"user", "content":"hi \\u00e9"} ]}', state.body)
  end)

  it("gives the cap its newer name for OpenAI's reasoning models", function()
    for _, name in ipairs({ "o3-mini", "gpt-5" }) do
      local state = run('{"model":"' .. name .. '",' .. HI .. "}",
        { model = model("openai", name, { max_tokens = 512 }) })
      assert.matches(',"max_completion_tokens":512}$', state.body)
      assert.is_nil(state.body:find('"max_tokens"', 1, true))
    end
    local state = run('{"model":"o3-mini",' .. HI .. "}", { model = model("vllm", "o3-mini",
      { max_tokens = 512, upstream_url = "http://127.0.0.1:8000" }) })
    assert.matches(',"max_tokens":512}$', state.body)
  end)

  it("does not touch an option that has the configured value already", function()
    local state = run('{"model":"m",' .. HI .. ',"max_tokens":512}',
      { model = model("openai", "m", { max_tokens = 512 }) })
    assert.is_nil(state.edits)
  end)

  it("sets dimensions of embeddings", function()
    local state = run('{"input":"x"}', { route_type = "llm/v1/embeddings",
      model = model("openai", "e", { embeddings_dimensions = 256, temperature = 1 }) })
    assert.equal('{"input":"x","model":"e","dimensions":256}', state.body)
  end)

  describe("usage of streams", function()
    local STATS = { logging = { log_statistics = true } }

    it("is asked for, and the client's wish is remembered", function()
      local state, call = run('{"model":"gpt-4o",' .. HI .. ',"stream":true}', STATS)
      assert.matches(',"stream_options":{"include_usage":true}}$', state.body)
      assert.is_false(call.usage_asked)
      local body = '{"model":"gpt-4o",' .. HI
        .. ',"stream":true,"stream_options":{"include_usage":true}}'
      state, call = run(body, STATS)
      assert.equal(body, state.body)
      assert.is_true(call.usage_asked)
    end)

    it("keeps other stream options", function()
      local state = run('{"model":"gpt-4o",' .. HI .. ',"stream":true,'
        .. '"stream_options":{"include_obfuscation":false,"include_usage":false}}', STATS)
      assert.matches('{"include_usage":true,"include_obfuscation":false}}$', state.body)
    end)

    it("is not asked for without statistics, nor without a stream", function()
      assert.is_nil(run('{"model":"gpt-4o",' .. HI .. ',"stream":true}').edits)
      assert.is_nil(run('{"model":"gpt-4o",' .. HI .. ',"stream":false}', STATS).edits)
    end)

    it("is not asked for where the provider would refuse the option", function()
      local azure = { azure_instance = "i", azure_deployment_id = "d",
        azure_api_version = "2023-05-15" }
      local over = { logging = STATS.logging, model = model("azure", "m", azure) }
      local body = '{"model":"m",' .. HI .. ',"stream":true}'
      assert.is_nil(run(body, over).edits)
      azure.azure_api_version = "2024-10-21"
      assert.equal(1, run(body, over).edits)
      over.model = model("mistral", "m", { mistral_format = "openai" })
      assert.is_nil(run(body, over).edits)
    end)
  end)

  describe("streaming policy", function()
    it("denies", function()
      local _, call, err = run('{"model":"gpt-4o",' .. HI .. ',"stream":true}',
        { response_streaming = "deny" })
      assert.is_nil(call)
      assert.equal("response streaming is not enabled for this LLM", err)
      _, call = run('{"model":"gpt-4o",' .. HI .. ',"stream":false}',
        { response_streaming = "deny" })
      assert.is_false(call.stream)
    end)

    it("forces", function()
      local state, call = run('{"model":"gpt-4o",' .. HI .. ',"stream":false}',
        { response_streaming = "always" })
      assert.equal('{"model":"gpt-4o",' .. HI .. ',"stream":true}', state.body)
      assert.is_true(call.stream)
    end)

    it("does not let a truthy value pass the denial", function()
      local _, call, err = run('{"model":"gpt-4o",' .. HI .. ',"stream":1}',
        { response_streaming = "deny" })
      assert.is_nil(call)
      assert.equal("stream parameter must be a boolean", err)
    end)
  end)

  it("refuses with Kong's texts", function()
    local none = "request body doesn't contain valid prompts"
    local completions = { route_type = "llm/v1/completions" }
    local cases = {
      { "", none }, { "[]", none }, { "{", none }, { '{"messages":[]}', none },
      { '{"messages":"hi"}', none }, { '{"messages":null}', none }, { "{}", none },
      { '{"prompt":7}', none, completions }, { '{"prompt":[]}', none, completions },
      { '{"model":"gpt-4o","model":"x",' .. HI .. "}", none },
      { "{" .. HI .. "}", none, { max_request_body_size = 8 } },
      { '{"model":"other",' .. HI .. "}", "cannot use own model - must be: gpt-4o" },
      { '{"model":7,' .. HI .. "}", "model parameter must be a string" },
      { "{" .. HI .. "}", "model parameter not found in request, nor in gateway configuration",
        { model = model("openai") } },
      { "{" .. HI .. ',"prompt":"x"}', "request matches multiple LLM request formats" },
      { "{" .. HI .. "}", "[llm/v1/chat] message format is not compatible with "
        .. "[llm/v1/completions] route type", completions },
      { '{"prompt":"x"}', "[llm/v1/completions] message format is not compatible with "
        .. "[llm/v1/chat] route type" },
      { "{" .. HI .. "}", "request format not recognised", { route_type = "llm/v1/embeddings" } },
    }
    for _, case in ipairs(cases) do
      local _, call, err = run(case[1], case[3])
      assert.is_nil(call, case[1])
      assert.equal(case[2], err, case[1])
    end
  end)

  it("accepts prompts as string arrays and token arrays", function()
    for _, prompt in ipairs({ '"x"', '["a","b"]', "[1,2]", "[[1],[2]]" }) do
      local _, call = run('{"prompt":' .. prompt .. "}", { route_type = "llm/v1/completions" })
      assert.equal("gpt-4o", call.model)
    end
  end)

  it("reads a missing or parameterised content type as JSON, and no other", function()
    for content_type, expected in pairs({
      ["application/json"] = true, ["Application/JSON; charset=utf-8"] = true, [""] = true,
      ["application/vnd.api+json"] = true, ["text/plain"] = false, ["application/jsonp"] = false,
    }) do
      assert.equal(expected, request.is_json_type(content_type), content_type)
    end
    assert.is_true(request.is_json_type(nil))
  end)
end)
