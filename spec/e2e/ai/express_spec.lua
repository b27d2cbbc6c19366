-- ai-proxy's way through C for the usual request, held against its way through Lua: the same requests over two routes that
-- differ only in log_payloads (which the way through C declines).
-- Invariant: what the provider receives and what the client gets is the same, byte for byte.

local ai = require("e2e.ai.support")
local site = require("e2e.support.site")

local MESSAGES = '"messages":[{"role":"user","content":"hi"}]'

-- What a request may look like; each goes both ways.
local BODIES = {
  "{" .. MESSAGES .. "}",
  '{"model":"gpt-4o",' .. MESSAGES .. "}",
  '{"model":null,' .. MESSAGES .. "}",
  '{"model":"other",' .. MESSAGES .. "}",
  '{"model":"gpt\\u002d4o",' .. MESSAGES .. "}",
  '{"model":7,' .. MESSAGES .. "}",
  '{"max_tokens":512,"temperature":0.5,' .. MESSAGES .. "}",
  '{"max_tokens":"512","temperature":5,' .. MESSAGES .. "}",
  '{"max_completion_tokens":9000,' .. MESSAGES .. "}",
  '{"top_k":3,' .. MESSAGES .. "}",
  '{"stream":false,' .. MESSAGES .. "}",
  '{"stream":null,' .. MESSAGES .. "}",
  '{"stream":"yes",' .. MESSAGES .. "}",
  '{"stream":true,' .. MESSAGES .. "}",
  '{"stream":true,"stream_options":{"include_usage":true},' .. MESSAGES .. "}",
  '{"stream":true,"stream_options":{"include_usage":false,"x":1},' .. MESSAGES .. "}",
  '{"stream":true,"stream_options":null,' .. MESSAGES .. "}",
  '{"prompt":"a",' .. MESSAGES .. "}",
  '{"prompt":null,' .. MESSAGES .. "}",
  '{"prompt":"a"}',
  '{"messages":[]}',
  '{"messages":"hi"}',
  "{}",
  "[]",
  "",
  '{"a":1,"a":2,' .. MESSAGES .. "}",
  '{"model":"gpt-4o","model":"other",' .. MESSAGES .. "}",
  '{"seed":12345678901234567890,"x":[ ],"s":"a\\/b\\u00e9",' .. MESSAGES .. " }",
  "{" .. MESSAGES .. ",}",
}

local TYPES = { "application/json", "application/json; charset=utf-8", "text/plain", "" }

local OPTIONS = { max_tokens = 512, temperature = 0.5, top_k = 9 }

local function both(over)
  local slow = { logging = { log_payloads = true, log_statistics = true } }
  for name, value in pairs(over) do
    slow[name] = value
  end
  return over, slow
end

describe("the usual AI request", function()
  local gw, up

  setup(function()
    local routes = {}
    routes.chat, routes.chat_lua = both({ model = { options = OPTIONS } })
    routes.deny, routes.deny_lua = both({ response_streaming = "deny" })
    routes.always, routes.always_lua = both({ response_streaming = "always" })
    routes.kept, routes.kept_lua =
      both({ auth = { header_name = "Authorization", header_value = ai.KEY, allow_override = true } })
    routes.text, routes.text_lua = both({ route_type = "llm/v1/completions" })
    routes.embed, routes.embed_lua = both({ route_type = "llm/v1/embeddings" })
    gw, up = ai.start(routes)
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  -- Everything that the provider and the client saw of one request, without what differs by nature.
  local function seen(route, body, headers)
    local before = #up.requests
    local response = ai.post(gw, route, body, headers)
    local request = #up.requests > before and up:last() or nil
    local head = request
      and request.raw_head
        :gsub("[Xx]%-[Kk]ong%-[Rr]equest%-[Ii]d: %x+", "ID")
        :gsub("X%-Forwarded%-P[^\r]*", "")
    return {
      status = response.status,
      body = response.body:gsub("%x%x%x%x%x%x%x%x%x+", "ID"),
      model = response:header("x-kong-llm-model"),
      content_type = response:header("content-type"),
      cookie = response:header("set-cookie"),
      head = head,
      sent = request and request.body,
    }
  end

  for _, route in ipairs({ "chat", "deny", "always", "kept", "text", "embed" }) do
    it("is the same both ways on route " .. route, function()
      for _, body in ipairs(BODIES) do
        assert.same(seen(route .. "_lua", body), seen(route, body), body)
      end
    end)
  end

  -- What the log says of it, without the times.
  local function logged(route, body)
    local entry = ai.logged(gw, ai.post(gw, route, body)).ai.proxy
    assert.is_number(entry.meta.llm_latency)
    assert.is_string(entry.meta.plugin_id)
    entry.meta.llm_latency, entry.meta.plugin_id, entry.payload = nil, nil, nil
    if entry.usage then
      assert.is_number(entry.usage.time_per_token)
      entry.usage.time_per_token = nil
    end
    return entry
  end

  it("is logged the same both ways", function()
    local answers = { ai.ANSWER, '{"model":"m","choices":[]}', '{"usage":null}', "not json", '{"error":{"message":"no"}}' }
    for _, answer in ipairs(answers) do
      up:answer({ body = answer, headers = { ["Content-Type"] = "application/json" } })
      assert.same(logged("chat_lua", BODIES[1]), logged("chat", BODIES[1]), answer)
    end
    up:answer({ status = 429, body = "{}", headers = { ["Content-Type"] = "application/json" } })
    assert.same(logged("chat_lua", BODIES[1]), logged("chat", BODIES[1]), "429")
    up:answer({ body = ai.ANSWER, headers = { ["Content-Type"] = "application/json" } })
  end)

  it("is the same both ways under every Content-Type", function()
    for _, media in ipairs(TYPES) do
      local headers = { ["Content-Type"] = media }
      assert.same(seen("chat_lua", BODIES[1], headers), seen("chat", BODIES[1], headers), media)
    end
  end)

  it("keeps a client's credential where that is allowed", function()
    local headers = { Authorization = "Bearer mine" }
    assert.same(seen("kept_lua", BODIES[1], headers), seen("kept", BODIES[1], headers))
    assert.is_truthy(seen("kept", BODIES[1], headers).head:find("Bearer mine", 1, true))
  end)
end)
