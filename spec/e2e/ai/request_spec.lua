-- What ai-proxy sends to an OpenAI-shaped provider: every byte that need not change is the client's.

local ai = require("e2e.ai.support")
local client = require("e2e.support.client")
local message = require("e2e.support.message")
local site = require("e2e.support.site")
local cjson = require("cjson")

local MESSAGES = '"messages":[{"role":"user","content":"hi"}]'
local AZURE = { azure_instance = "inst", azure_deployment_id = "dep", azure_api_version = "2024-10-21" }
local NO_PROMPTS = "request body doesn't contain valid prompts"

describe("a request for an OpenAI-shaped provider", function()
  local gw, up

  setup(function()
    gw, up = ai.start({
      chat = {},
      options = { model = { options = { max_tokens = 512, temperature = 0.5, top_p = 0.25, top_k = 9 } } },
      own = { model = { name = cjson.null } },
      mistral = { model = { provider = "mistral", options = { mistral_format = "openai", top_k = 9 } } },
      completions = { route_type = "llm/v1/completions", model = { name = "gpt-3.5-turbo-instruct" } },
      embeddings = { route_type = "llm/v1/embeddings", model = { name = "e3", options = { embeddings_dimensions = 64 } } },
      override = { auth = { allow_override = true } },
      query = { auth = { header_name = false, param_name = "key", param_value = "k/1", param_location = "query" } },
      body = { auth = { header_name = false, param_name = "key", param_value = 'k"1', param_location = "body" } },
      header = { model = { name = "$(headers.x-model)" } },
      captures = { path = "~/captures/(?<model>[^/]+)$", model = { name = "$(uri_captures.model)" } },
      args = { model = { name = "$(query_params.m)" } },
      small = { max_request_body_size = 1000 },
      small_logged = { max_request_body_size = 1000, logging = { log_payloads = true } },
      deny = { response_streaming = "deny" },
      always = { response_streaming = "always" },
      preserve = { route_type = "preserve", model = { options = { upstream_path = "/v1/files" } } },
      gemini = { model = { provider = "gemini", name = "g" } },
    })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  -- The body that reached the provider.
  local function sent(route, body, headers)
    local response = ai.post(gw, route, body, headers)
    assert.status(200, response)
    return up:last().body, up:last(), response
  end

  it("goes to the provider's path with its own key and Host; the client's key stays here", function()
    local _, request = sent("chat/v1/chat/completions", ai.ASK, { Cookie = "a=b" })
    assert.same("/v1/chat/completions", request.target)
    assert.same({ ai.KEY }, request:all("authorization"))
    assert.same("127.0.0.1:" .. up.port, request:header("host"))
    assert.is_nil(request.raw_head:find("client-key", 1, true))
    assert.same("identity", request:header("accept-encoding"))
    assert.same(tostring(#request.body), request:header("content-length"))
  end)

  it("names the configured model, and keeps every other byte", function()
    local tail = ' ,"seed" : 12345678901234567890, "x":[ ],"y":{}, "f":1.10,"s":"a\\/b\\u00e9 é\\ud83d\\ude00" }'
    assert.same('{"model":"gpt-4o", ' .. MESSAGES .. tail, (sent("chat", '{"model":"gpt-4o", ' .. MESSAGES .. tail)))
    local body = sent("chat", "{ " .. MESSAGES .. tail)
    assert.same("{ " .. MESSAGES .. tail:sub(1, -3), body:sub(1, #MESSAGES + #tail))
    assert.same("gpt-4o", cjson.decode(body).model)
  end)

  it("has the configured options instead of the client's", function()
    local body = sent("options", '{"max_tokens":9999,' .. MESSAGES .. ',"temperature":2,"top_k":40,"stop":["x"]}')
    local got = cjson.decode(body)
    assert.same({ 512, 0.5, 0.25, "gpt-4o" }, { got.max_tokens, got.temperature, got.top_p, got.model })
    assert.is_nil(got.top_k) -- OpenAI refuses it
    assert.same('{"max_tokens":512,' .. MESSAGES, body:sub(1, 18 + #MESSAGES))
    assert.same(9, cjson.decode((sent("mistral", '{"top_k":40,' .. MESSAGES .. "}"))).top_k)
  end)

  it("is refused when it names another model", function()
    local before = #up.requests
    ai.assert_refused(400, "cannot use own model - must be: gpt-4o", ai.post(gw, "chat", '{"model":"gpt-5",' .. MESSAGES .. "}"))
    assert.same(before, #up.requests)
  end)

  it("chooses its model where none is configured", function()
    assert.same('{"model":"mine",' .. MESSAGES .. "}", (sent("own", '{"model":"mine",' .. MESSAGES .. "}")))
    ai.assert_refused(400, "model parameter not found in request, nor in gateway configuration", ai.post(gw, "own", ai.ASK))
  end)

  it("is JSON when it reads as JSON, whatever its type says", function()
    for _, type in ipairs({ false, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8" }) do
      local body, request = sent("chat", '{"model":"gpt-4o",' .. MESSAGES .. "}", { ["Content-Type"] = type })
      assert.same('{"model":"gpt-4o",' .. MESSAGES .. "}", body)
      assert.same("application/json", (request:header("content-type"):gsub("; charset=utf%-8", "")))
    end
    local text = "content-type header does not match request body, or bad JSON formatting"
    local form = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    ai.assert_refused(400, text, ai.post(gw, "chat", "messages=hi", form))
  end)

  it("passes unread when it is a form with files", function()
    local form = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nx\r\n--b--\r\n'
    local body, request = sent("chat", form, { ["Content-Type"] = "multipart/form-data; boundary=b" })
    assert.same(form, body)
    assert.same("multipart/form-data; boundary=b", request:header("content-type"))
    assert.same(ai.KEY, request:header("authorization"))
  end)

  it("of another shape is refused, and says how", function()
    local cases = {
      { "{", NO_PROMPTS },
      { "", NO_PROMPTS },
      { "[1]", NO_PROMPTS },
      { '{"messages":[]}', NO_PROMPTS },
      { "{" .. MESSAGES .. ',"prompt":"x"}', "request matches multiple LLM request formats" },
      { '{"prompt":"x"}', "[llm/v1/completions] message format is not compatible with [llm/v1/chat] route type" },
    }
    for _, case in ipairs(cases) do
      ai.assert_refused(400, case[2], ai.post(gw, "chat", case[1]))
    end
    ai.assert_refused(400, "request format not recognised", ai.post(gw, "embeddings", ai.ASK))
    ai.assert_refused(400, "no transformer available to format gemini://llm/v1/chat", ai.post(gw, "gemini", ai.ASK))
  end)

  it("may ask for completions and embeddings", function()
    local body, request = sent("completions", '{"prompt":["a","b"]}')
    assert.same("/v1/completions", request.target)
    assert.same({ prompt = { "a", "b" }, model = "gpt-3.5-turbo-instruct" }, cjson.decode(body))
    body, request = sent("embeddings", '{"input":[[1,2],[3]],"dimensions":9}')
    assert.same("/v1/embeddings", request.target)
    assert.same({ input = { { 1, 2 }, { 3 } }, dimensions = 64, model = "e3" }, cjson.decode(body))
  end)

  it("keeps its own key where that is allowed", function()
    local _, request = sent("override", ai.ASK)
    assert.same({ ai.CLIENT_KEY }, request:all("authorization"))
    _, request = sent("override", ai.ASK, { Authorization = false })
    assert.same({ ai.KEY }, request:all("authorization"))
  end)

  it("carries the provider's key in its query or body", function()
    local _, request = sent("query?a=1&key=mine&b=2", ai.ASK)
    assert.same("/v1/chat/completions?a=1&b=2&key=k%2F1", request.target)
    assert.same('k"1', cjson.decode((sent("body", '{"key":"mine",' .. MESSAGES .. "}"))).key)
  end)

  it("leaves no key in any log, neither the client's nor the provider's", function()
    local keys = { "provider-key", "client-key", "k/1", "k%2F1", 'k\\"1', "mine-too" }
    local headers = { ["X-Api-Key"] = "client-key", ["Api-Key"] = "client-key" }
    for _, path in ipairs({ "chat?key=mine-too&api_key=client-key", "query?key=mine-too", "body", "override" }) do
      local entry = cjson.encode(ai.logged(gw, ai.post(gw, path, ai.ASK, headers))):gsub("\\/", "/")
      for _, key in ipairs(keys) do
        assert.is_nil(entry:find(key, 1, true), path .. " shows " .. key .. ": " .. entry)
      end
    end
    assert.is_nil(gw:errors():find("provider-key", 1, true))
  end)

  it("fills templates, or is refused when it lacks a value", function()
    assert.same("m1", cjson.decode((sent("header", ai.ASK, { ["X-Model"] = "m1" }))).model)
    assert.same("m2", cjson.decode((sent("captures/m2", ai.ASK))).model)
    local body, _, response = sent("args?m=m3", ai.ASK)
    assert.same("m3", cjson.decode(body).model)
    assert.header("openai/m3", response, "x-kong-llm-model")
    ai.assert_refused(400, "headers key x-model was not provided", ai.post(gw, "header", ai.ASK))
    ai.assert_refused(400, "query_params key m was not provided", ai.post(gw, "args", ai.ASK))
  end)

  it("may hold a megabyte of prompt, in any pieces", function()
    local text = ("Zażółć 🌙 \\\" \\\\ "):rep(45000)
    local body = '{"messages":[{"role":"user","content":"' .. text .. '"}],"model":"gpt-4o"}'
    assert.truthy(#body < 1048576 and #body > 900000)
    assert.truthy(body == sent("chat", body))
    local chunks = {}
    for from = 1, #body, 50000 do
      chunks[#chunks + 1] = body:sub(from, from + 49999)
    end
    local response = client.request({ to = gw, path = "/chat", method = "POST", chunks = chunks,
      headers = { ["Content-Type"] = "application/json" } })
    assert.status(200, response)
    assert.truthy(body == up:last().body)
    assert.same(tostring(#body), up:last():header("content-length"))
  end)

  it("of a megabyte ends where it says, with the next request right behind it", function()
    local c = client.connect(gw)
    local filler = {}
    for i = 1, 60000 do
      filler[i] = ("%06d \\n é "):format(i)
    end
    local body = '{"messages":[{"role":"user","content":"' .. table.concat(filler) .. '"}],"model":"gpt-4o"}'
    assert.truthy(#body < 1048576 and #body > 600000)
    local ask = { path = "/chat", method = "POST", body = ai.ASK, headers = { ["Content-Type"] = "application/json" } }
    local bytes = message.write_request({ path = "/chat", method = "POST", body = body,
      headers = { ["Content-Type"] = "application/json" } }) .. message.write_request(ask)
    for _, first in ipairs({ 300, 70000, #bytes - 20000, #bytes - #ai.ASK - 2 }) do
      local before = #up.requests
      c:send(bytes:sub(1, first))
      c:sleep(0.02)
      c:send(bytes:sub(first + 1))
      assert.status(200, c:read_response())
      assert.status(200, c:read_response())
      assert.truthy(body == up.requests[before + 1].body, "the first piece had " .. first .. " bytes")
      assert.same(cjson.decode(ai.ASK).messages, cjson.decode(up:last().body).messages)
    end
    c:close()
  end)

  it("that breaks off within a megabyte is dropped, and the gateway goes on", function()
    local body = '{"messages":[{"role":"user","content":"' .. ("x"):rep(900000) .. '"}]}'
    local bytes = message.write_request({ path = "/chat", method = "POST", body = body })
    local before = #up.requests
    for _, how in ipairs({ "close", "reset", "half_close" }) do
      local c = client.connect(gw)
      c:send(bytes:sub(1, 500000))
      c[how](c)
      c:close()
    end
    sent("chat", ai.ASK)
    assert.same(before + 1, #up.requests)
  end)

  it("beyond max_request_body_size is refused, announced or not", function()
    local body = '{"messages":[{"role":"user","content":"' .. ("x"):rep(2000) .. '"}]}'
    local before = #up.requests
    for _, route in ipairs({ "small", "small_logged" }) do
      ai.assert_refused(400, NO_PROMPTS, ai.post(gw, route, body))
      local response = client.request({ to = gw, path = "/" .. route, method = "POST", chunks = { body:sub(1, 900), body:sub(901) },
        headers = { ["Content-Type"] = "application/json" } })
      ai.assert_refused(400, NO_PROMPTS, response)
    end
    assert.same(before, #up.requests)
  end)

  it("streams only as the configuration allows", function()
    ai.assert_refused(400, "response streaming is not enabled for this LLM", ai.post(gw, "deny", ai.ASK_STREAM))
    assert.is_true(cjson.decode((sent("always", ai.ASK))).stream)
  end)

  it("asks for usage in its stream beside its own stream options", function()
    local body = sent("chat", '{"stream":true,"stream_options":{"include_obfuscation":false},' .. MESSAGES .. "}")
    assert.same({ include_usage = true, include_obfuscation = false }, cjson.decode(body).stream_options)
    local asked = '{"stream":true,"stream_options": {"include_usage":true},' .. MESSAGES .. ',"model":"gpt-4o"}'
    assert.same(asked, (sent("chat", asked)))
    assert.is_nil(cjson.decode((sent("mistral", ai.ASK_STREAM))).stream_options)
  end)

  it("passes unread on a preserved route", function()
    local body, request, response = sent("preserve", "anything", { ["Content-Type"] = "text/x" })
    assert.same("anything", body)
    assert.same("/v1/files", request.target)
    assert.same(ai.KEY, request:header("authorization"))
    assert.header("openai/gpt-4o", response, "x-kong-llm-model")
  end)
end)

describe("a request for Azure", function()
  local gw, up

  setup(function()
    gw, up = ai.start({
      azure = { auth = { header_name = "api-key", header_value = "k" }, model = { provider = "azure", options = AZURE } },
    })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("names deployment and version", function()
    local response = ai.post(gw, "azure?x=1", ai.ASK)
    assert.status(200, response)
    assert.same("/openai/deployments/dep/chat/completions?x=1&api-version=2024-10-21", up:last().target)
    assert.same("k", up:last():header("api-key"))
    assert.header("azure/gpt-4o", response, "x-kong-llm-model")
    local meta = ai.logged(gw, response).ai.proxy.meta
    assert.same({ "inst", "dep", "2024-10-21" }, { meta.azure_instance_id, meta.azure_deployment_id, meta.azure_api_version })
    assert.status(200, ai.post(gw, "azure?api-version=2025-01-01", ai.ASK))
    assert.same("/openai/deployments/dep/chat/completions?api-version=2025-01-01", up:last().target)
  end)
end)
