-- ai-mock as a provider in the gateway itself: whole answers, streams at their pace, failures, clients that leave.

local ai = require("e2e.ai.support")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")
local cjson = require("cjson")

local CONFIGS = {
  plain = { reply = "One two three." },
  slow = { reply = "One two three four.", delay_ms = 60, chunk_delay_ms = 40 },
  endless = { reply = ("word "):rep(2000), chunk_delay_ms = 20 },
  waiting = { delay_ms = 60000 },
  failing = { error = { status = 429, message = "slow down" } },
  breaking = { reply = "One two three.", error = { after = 2, message = "overloaded" } },
  cut = { reply = "One two three.", truncate_after = 2 },
  tiny = { max_request_body_size = 200 },
}

local function yaml()
  local routes = {}
  for name, config in pairs(CONFIGS) do
    routes[#routes + 1] = { name = name, paths = { "/" .. name }, plugins = { { name = "ai-mock", config = config } } }
  end
  local text = cjson.encode({ _format_version = "3.0", services = { { name = "s", url = "http://localhost:9", routes = routes } } })
  return (text:gsub("\\/", "/"))
end

local function texts(bytes)
  local out = {}
  for data in bytes:gmatch("data: ({[^\n]*})\n\n") do
    local choice = (cjson.decode(data).choices or {})[1]
    out[#out + 1] = choice and choice.delta.content
  end
  return table.concat(out)
end

describe("ai-mock", function()
  local gw

  setup(function()
    gw = gateway.start({ config = yaml() })
  end)

  teardown(function()
    gw:stop()
  end)

  it("answers chats, completions, messages, embeddings and lists of models", function()
    local chat = ai.post(gw, "plain/v1/chat/completions", '{"model":"m","messages":[{"role":"user","content":"a b"}]}')
    assert.status(200, chat)
    assert.header("application/json; charset=utf-8", chat, "content-type")
    local answer = chat:json()
    assert.same({ "One two three.", "m", 5 }, { answer.choices[1].message.content, answer.model, answer.usage.total_tokens })
    assert.same("One two three.", ai.post(gw, "plain/v1/completions", '{"prompt":"a"}'):json().choices[1].text)
    local message = ai.post(gw, "plain/v1/messages", '{"max_tokens":2,"messages":[{"role":"user","content":"a"}]}'):json()
    assert.same({ "One two", "max_tokens" }, { message.content[1].text, message.stop_reason })
    assert.same(3, #ai.post(gw, "plain/v1/embeddings", '{"input":"a","dimensions":3}'):json().data[1].embedding)
    assert.same("mock-model", client.get(gw, "/plain/v1/models"):json().data[1].id)
  end)

  it("streams at its pace", function()
    local from = sched.now()
    local bytes, ending, response = ai.read_stream(gw, "slow/v1/chat/completions")
    assert.same({ "One two three four.", "end" }, { texts(bytes), ending })
    assert.header("text/event-stream; charset=utf-8", response, "content-type")
    assert.same("data: [DONE]\n\n", bytes:sub(-14))
    assert.truthy(response.at - from >= 0.055, response.at - from)
    assert.truthy(#response.pieces >= 5)
    for i = 3, #response.pieces do
      assert.truthy(response.pieces[i].at - response.pieces[i - 1].at >= 0.03)
    end
  end)

  it("fails as it is told", function()
    local response = ai.post(gw, "failing", ai.ASK)
    assert.status(429, response)
    assert.same("slow down", response:json().error.message)
    local bytes = ai.read_stream(gw, "breaking")
    assert.truthy(bytes:find('"overloaded"', 1, true))
    assert.is_nil(bytes:find("[DONE]", 1, true))
    assert.is_nil((ai.read_stream(gw, "cut")):find("[DONE]", 1, true))
  end)

  it("refuses what is no request", function()
    assert.status(400, ai.post(gw, "plain", "{"))
    assert.status(400, ai.post(gw, "plain", "{}"))
    assert.status(413, ai.post(gw, "tiny", '{"messages":[{"content":"' .. ("x"):rep(300) .. '"}]}'))
  end)

  for _, route in ipairs({ "waiting", "endless" }) do
    it("notices that its client has left (" .. route .. ")", function()
      local c = client.connect(gw)
      c:write({ path = "/" .. route, method = "POST", body = ai.ASK_STREAM })
      if route == "endless" then
        assert.truthy(c:answer({ head_only = true }):next_event())
      else
        sched.sleep(0.02)
      end
      local left_at = sched.now()
      c:close()
      local entry = gw:wait_access(function(e)
        return e.request.uri == "/" .. route and e
      end)
      assert.same(499, entry.response.status)
      assert.truthy(sched.now() - left_at < 0.4 * sched.slow) -- 0.2 s of it is the log's own delay
    end)
  end
end)
