-- A provider's whole answer on its way back, and what the log says of it.

local ai = require("e2e.ai.support")
local client = require("e2e.support.client")
local message = require("e2e.support.message")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local cjson = require("cjson")

describe("an OpenAI-shaped provider's whole answer", function()
  local gw, up

  setup(function()
    gw, up = ai.start({
      chat = { model = { options = { input_cost = 2.5, output_cost = 10 } } },
      bare = { model_name_header = false, logging = { log_statistics = false } },
      payloads = { logging = { log_payloads = true } },
      own = { model = { name = cjson.null } },
      embeddings = { route_type = "llm/v1/embeddings", model = { name = "e3" } },
    })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  before_each(function()
    up:answer(ai.json(ai.ANSWER))
  end)

  it("passes byte for byte, with the model's name beside it", function()
    local body = ' {"choices" : [ ], "big":12345678901234567890,"e":[],"o":{}, "s":"a\\/\\u00e9 é" }\n'
    up:answer(ai.json(body, 200, { ["X-Request-Id"] = "req_1", ["OpenAI-Version"] = "2020-10-01" }))
    local response = ai.post(gw, "chat", ai.ASK)
    assert.status(200, response)
    assert.same(body, response.body)
    assert.header("openai/gpt-4o", response, "x-kong-llm-model")
    assert.header("application/json", response, "content-type")
    assert.header(tostring(#body), response, "content-length")
    assert.header("req_1", response, "x-request-id")
    assert.header("2020-10-01", response, "openai-version")
  end)

  it("is the same in whatever pieces it comes", function()
    local bytes = message.write_response(ai.json(ai.ANSWER, 200, { Connection = "close" }))
    up:on(function(c)
      c:read_request()
      c:send_slowly(bytes, 7)
    end)
    local response = ai.post(gw, "chat", ai.ASK)
    assert.same(ai.ANSWER, response.body)
    assert.same(13, ai.logged(gw, response).ai.proxy.usage.total_tokens)
  end)

  it("loses the provider's cookies", function()
    local cookies = { { "Content-Type", "application/json" }, { "Set-Cookie", "a=1" }, { "set-cookie", "b=2" } }
    up:answer({ headers = cookies, body = ai.ANSWER })
    assert.header(nil, ai.post(gw, "chat", ai.ASK), "set-cookie")
  end)

  it("says nothing of the model where that is off, unless one asks", function()
    assert.header(nil, ai.post(gw, "bare", ai.ASK), "x-kong-llm-model")
    assert.header("openai/gpt-4o", ai.post(gw, "bare", ai.ASK, { ["Kong-Debug"] = "1" }), "x-kong-llm-model")
    assert.header("openai/mine", ai.post(gw, "own", '{"model":"mine","messages":[{}]}'), "x-kong-llm-model")
  end)

  it("that is an error passes untouched, without the model's name", function()
    local errors = {
      { 401, '{"error":{"message":"Incorrect API key provided","code":"invalid_api_key"}}' },
      { 429, '{"error":{"message":"Rate limit reached"}}' },
      { 500, "oops" },
      { 201, ai.ANSWER },
    }
    local responses = {}
    for _, case in ipairs(errors) do
      up:answer(ai.json(case[2], case[1], { ["Retry-After"] = "20", ["Set-Cookie"] = "a=1" }))
      for _, ask in ipairs({ ai.ASK, ai.ASK_STREAM }) do
        local response = ai.post(gw, "chat", ask)
        assert.status(case[1], response)
        assert.same(case[2], response.body)
        assert.header("20", response, "retry-after")
        assert.header(nil, response, "x-kong-llm-model")
        assert.header(nil, response, "set-cookie")
        responses[#responses + 1] = response
      end
    end
    for _, response in ipairs(responses) do
      local log = ai.logged(gw, response).ai.proxy
      assert.same("openai", log.meta.provider_name)
      assert.is_nil(log.usage)
    end
  end)

  it("from nobody is a 502 of the gateway's own, without the model's name", function()
    gw:expect_error("upstream 127.0.0.1")
    up:send_raw("", "close")
    local response = ai.post(gw, "chat", ai.ASK)
    assert.gateway_error(502, response)
    assert.header(nil, response, "x-kong-llm-model")
    assert.is_nil(ai.logged(gw, response).ai.proxy.usage)
  end)

  it("is counted in the log", function()
    local usage = '{"prompt_tokens":1000,"completion_tokens":200,"total_tokens":1200,'
      .. '"prompt_tokens_details":{"cached_tokens":100},"completion_tokens_details":{"reasoning_tokens":64}}'
    up:answer(ai.json((ai.ANSWER:gsub('"usage":%b{}', '"usage":' .. usage))))
    local response = ai.post(gw, "chat", ai.ASK)
    local log = ai.logged(gw, response).ai.proxy
    assert.same({ "openai", "gpt-4o", "gpt-4o-2024-08-06", "oneshot" },
      { log.meta.provider_name, log.meta.request_model, log.meta.response_model, log.meta.request_mode })
    assert.truthy(log.meta.plugin_id:find("^%x+%-%x+%-%x+%-%x+%-%x+$"))
    assert.truthy(log.meta.llm_latency >= 0 and log.meta.llm_latency < 1000 * sched.slow)
    local used = log.usage
    assert.same({ 1000, 200, 1200 }, { used.prompt_tokens, used.completion_tokens, used.total_tokens })
    assert.same({ 100, 64 }, { used.prompt_tokens_details.cached_tokens, used.completion_tokens_details.reasoning_tokens })
    assert.same("0.0045", ("%.4f"):format(used.cost))
    assert.is_nil(used.estimated)
    assert.is_nil(log.payload)
  end)

  it("of embeddings is counted too", function()
    up:answer(ai.json('{"object":"list","data":[{"embedding":[0.1]}],"model":"e3-x","usage":{"prompt_tokens":4,"total_tokens":4}}'))
    local response = ai.post(gw, "embeddings", '{"input":"x"}')
    local log = ai.logged(gw, response).ai.proxy
    assert.same({ "e3", "e3-x" }, { log.meta.request_model, log.meta.response_model })
    assert.same({ 4, 0, 4 }, { log.usage.prompt_tokens, log.usage.completion_tokens, log.usage.total_tokens })
  end)

  it("without counts is estimated, and says so", function()
    up:answer(ai.json('{"choices":[]}'))
    local response = ai.post(gw, "chat", ai.ASK)
    local used = ai.logged(gw, response).ai.proxy.usage
    assert.is_true(used.estimated)
    assert.same(math.ceil(#up:last().body / 4), used.prompt_tokens)
  end)

  it("is not counted where nobody wants it", function()
    assert.is_nil(ai.logged(gw, ai.post(gw, "bare", ai.ASK)).ai)
  end)

  it("stands in the log beside its question, byte for byte", function()
    local question = '{"messages":[{"role":"user","content":"h\\u0069 é"}],"n":12345678901234567890}'
    local response = ai.post(gw, "payloads", question)
    assert.same(ai.ANSWER, response.body)
    assert.header(nil, response, "content-length") -- the answer is seen by a filter
    local log = ai.logged(gw, response).ai.proxy
    assert.same({ request = question, response = ai.ANSWER }, log.payload)
    assert.same(13, log.usage.total_tokens)
  end)

  it("stands in the log as a stream, too, and a broken one as far as it came", function()
    ai.stream(up, { ai.HELLO, ai.USAGE_EVENT, ai.DONE })
    local bytes, _, response = ai.read_stream(gw, "payloads")
    assert.same(ai.HELLO .. ai.DONE, bytes)
    assert.same(bytes, ai.logged(gw, response).ai.proxy.payload.response)
    ai.stream(up, { ai.ROLE }, { ending = "close" })
    bytes, _, response = ai.read_stream(gw, "payloads")
    assert.same(ai.ROLE, bytes)
    assert.same(ai.ROLE, ai.logged(gw, response).ai.proxy.payload.response)
  end)

  it("that is compressed passes as it is", function()
    local bytes = "\31\139\8\0not really gzip\0\255"
    up:answer(ai.json(bytes, 200, { ["Content-Encoding"] = "gzip" }))
    local response = ai.post(gw, "chat", ai.ASK)
    assert.same(bytes, response.body)
    assert.header("gzip", response, "content-encoding")
    assert.is_true(ai.logged(gw, response).ai.proxy.usage.estimated)
  end)

  it("is not the client's after the client's next request", function()
    local c = client.connect(gw)
    for i = 1, 3 do
      up:answer(ai.json('{"choices":[],"i":' .. i .. "}"))
      local response = c:request({ path = "/chat", method = "POST", body = ai.ASK })
      assert.same(i, response:json().i)
    end
    c:close()
  end)
end)
