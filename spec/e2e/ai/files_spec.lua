-- Whole configuration files as people have them: the tutorial's file unchanged, the samples of this project, the node's settings.

local ai = require("e2e.ai.support")
local certs = require("e2e.support.certs")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local upstream = require("e2e.support.upstream")
local cjson = require("cjson")
local socket = require("socket")

-- The provider's key is the one thing the two differ in.
local TUTORIAL = [[
_format_version: "3.0"
services:
  - name: openai-service
    url: https://api.openai.com
    routes:
      - name: openai-chat-route
        paths:
          - /ai/chat
        plugins:
          - name: ai-proxy
            config:
              route_type: llm/v1/chat
              auth:
                header_name: Authorization
                header_value: "Bearer %s"
              model:
                provider: openai
                name: gpt-4o
                options:
                  max_tokens: 512
]]

local FORMS = {
  { "the shell's variable", TUTORIAL:format("$OPENAI_API_KEY"), { OPENAI_API_KEY = "sk-1" } },
  { "decK's variable", TUTORIAL:format('${{ env "DECK_OPENAI_API_KEY" }}'), { DECK_OPENAI_API_KEY = "sk-1" } },
}

local ADDRESS = "127.44.3.1" -- what api.openai.com is for these specs

local function read(path)
  local handle = assert(io.open(path))
  local text = handle:read("*a")
  handle:close()
  return text
end

-- A name server that knows one address. Has port, and stop().
local function name_server(address)
  local sock = assert(socket.udp())
  assert(sock:setsockname("127.0.0.1", 0))
  sock:settimeout(0)
  local answer = "\192\12\0\1\0\1\0\0\0\60\0\4" .. address:gsub("(%d+)%.?", function(n)
    return string.char(tonumber(n))
  end)
  local self = { port = select(2, sock:getsockname()) }
  self.task = sched.spawn(function()
    while true do
      if sched.readable(sock, 3600) then
        local query, from, port = sock:receivefrom()
        if query then
          local question = query:sub(13):match("^.-%z....")
          local is_a = question:byte(-3) == 1
          local head = query:sub(1, 2) .. "\129\128\0\1" .. (is_a and "\0\1" or "\0\0") .. "\0\0\0\0"
          sock:sendto(head .. question .. (is_a and answer or ""), from, port)
        end
      end
    end
  end)
  function self.stop()
    sched.stop(self.task)
    sock:close()
  end
  return self
end

describe("the tutorial's file", function()
  local names, up, refused

  setup(function()
    names = name_server(ADDRESS)
    local pair = certs.pair("api.openai.com")
    local tls = { key = pair.key, certificate = pair.certificate }
    local ok, started = pcall(upstream.start, { host = ADDRESS, port = 443, tls = tls })
    up, refused = ok and started or nil, not ok and started
  end)

  teardown(function()
    names.stop()
    if up then
      up:stop()
    end
  end)

  for _, form in ipairs(FORMS) do
    it("is served unchanged, its key in " .. form[1], function()
      if not up then
        return pending("port 443 cannot be bound here: " .. tostring(refused))
      end
      up:answer(ai.json(ai.ANSWER, 200, { ["Set-Cookie"] = "__cf_bm=x" }))
      local gw = gateway.start({ config = form[2], env = form[3],
        settings = { dns_servers = "127.0.0.1:" .. names.port, ca_file = certs.ca() } })
      local body = '{"messages":[{"role":"user","content":"Say hi"}]}'
      local response = client.request({ to = gw, path = "/ai/chat", method = "POST", body = body,
        headers = { ["Content-Type"] = "application/json", Authorization = "Bearer mine" } })
      assert.status(200, response)
      assert.same(ai.ANSWER, response.body)
      assert.header("openai/gpt-4o", response, "x-kong-llm-model")
      assert.header(nil, response, "set-cookie")
      local seen = up:last()
      assert.same({ "/v1/chat/completions", "api.openai.com", "Bearer sk-1" },
        { seen.target, seen:header("host"), seen:header("authorization") })
      assert.same(body:sub(1, -2) .. ',"model":"gpt-4o","max_tokens":512}', seen.body)
      ai.stream(up, { ai.HELLO, ai.DONE })
      local bytes, ending = ai.read_stream(gw, "ai/chat")
      assert.same({ ai.HELLO .. ai.DONE, "end" }, { bytes, ending })
      gw:stop()
    end)
  end
end)

describe("the project's samples", function()
  it("serve a chat without any provider, with keys, limits and metrics", function()
    local port = upstream.refused_port()
    local text = read("conf/example/kong.yaml"):gsub("127%.0%.0%.1:8000", "127.0.0.1:" .. port)
    local gw = gateway.start({ config = text, settings = { proxy_listen = "127.0.0.1:" .. port }, wait = false })
    gw.port = port
    gw:wait_ready()
    local response = ai.post(gw, "ai/chat", ai.ASK)
    assert.status(401, response)
    response = ai.post(gw, "ai/chat", ai.ASK, { apikey = "alice-secret" })
    assert.status(200, response)
    assert.header("openai/gpt-4o", response, "x-kong-llm-model")
    assert.header("60", response, "x-ratelimit-limit-minute")
    assert.same("chat.completion", response:json().object)
    local _, ending, stream = ai.read_stream(gw, "ai/chat", ai.ASK_STREAM, { apikey = "alice-secret" })
    assert.same("end", ending)
    assert.truthy(#stream.pieces > 3)
    assert.truthy(ai.logged(gw, stream).ai.proxy.usage.total_tokens > 0)
    gw:stop()
  end)

  it("load with a provider's key in the environment", function()
    local check = gateway.command({ "check", "conf/openai/kong.yaml" }, { env = { OPENAI_API_KEY = "sk-1" } })
    assert.same({ "exited", 0 }, { check.how, check.code }, check.output)
  end)
end)

describe("the node's setting ai_model_mismatch", function()
  local OTHER = '{"model":"gpt-5","messages":[{"role":"user","content":"hi"}]}'
  local routes = { chat = {}, claude = { model = { provider = "anthropic", name = "claude-test" } } }

  it("replace: the configured model is used, whatever the client names", function()
    local gw, up = ai.start(routes, { settings = { ai_model_mismatch = "replace" } })
    local response = ai.post(gw, "chat", OTHER)
    assert.status(200, response)
    assert.same('{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}', up:last().body)
    assert.header("openai/gpt-4o", response, "x-kong-llm-model")
    up:answer(ai.json('{"content":[],"usage":{}}'))
    assert.status(200, ai.post(gw, "claude", OTHER))
    assert.same("claude-test", cjson.decode(up:last().body).model)
    site.stop(gw, up)
  end)

  it("reject: another model is refused", function()
    local gw, up = ai.start(routes, { settings = { ai_model_mismatch = "reject" } })
    ai.assert_refused(400, "cannot use own model - must be: gpt-4o", ai.post(gw, "chat", OTHER))
    assert.same(0, #up.requests)
    site.stop(gw, up)
  end)

  it("takes no other word", function()
    local check = gateway.command({ "start", "-c", "conf/openai" }, { env = { MOONGATE_AI_MODEL_MISMATCH = "swap" } })
    assert.same({ "exited", 2 }, { check.how, check.code })
    assert.truthy(check.output:find('"swap" is not known: write reject or replace', 1, true), check.output)
  end)
end)
