-- ip-restriction, cors and bot-detection in a gateway: what the client and the upstream see.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local A, B = "https://a.example", "https://b.preview.example"

local ROBOTS = {
  "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
  "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
  "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
  "Mozilla/5.0 (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)", "CCBot/2.0", "SomeBot",
  "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Twitterbot/1.0", "Discordbot_2",
  "Mozilla/5.0 (compatible; Baiduspider/2.0)", "Mozilla/5.0 (compatible; Bytespider; spider-feedback@bytedance.com)",
  "Scrapy/2.11.0 (+https://scrapy.org)", "crawler4j (https://github.com/yasserg/crawler4j/)", "my-scraper",
  "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)", "ia_archiver",
  "facebookexternalhit/1.1", "Pingdom.com_bot_version_1.4", "W3C_Validator/1.3", "Feedly/1.0", "anthropic-ai",
  "Mediapartners-Google", "Mozilla/5.0 (X11) Google Web Preview", "BingPreview/1.0b", "webrobot 1",
}
local PEOPLE = {
  "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  "Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36",
  "curl/8.5.0", "Wget/1.21", "python-requests/2.32.3", "OpenAI/Python 1.40.0", "Boto3/1.34 Botocore/1.34",
  "Go-http-client/1.1", "PostmanRuntime/7.39", "Abbott/1.0", "bottle/0.12",
}

local function route(name, plugin)
  return ("- {name: %s, service: app, paths: [/%s], strip_path: false, plugins: [%s]}\n"):format(name, name, plugin)
end

local MORE = "routes:\n"
  .. route("inside", "{name: ip-restriction, config: {allow: [127.0.0.0/8, '::1'], deny: [127.0.0.2]}}")
  .. route("outside", "{name: ip-restriction, config: {deny: ['127.0.0.1'], status: 404, message: gone}}")
  .. route("other", "{name: ip-restriction, config: {allow: [10.0.0.0/8, 'fd00::/8']}}")
  .. route("bots", "{name: bot-detection, config: {allow: ['^GoodBot/'], deny: ['(?i)badagent', '^$']}}")
  .. route("all", "{name: cors}")
  .. route("some", "{name: cors, config: {origins: ['" .. A .. "', 'https://.*\\.preview\\.example'], credentials: true,"
    .. " exposed_headers: [X-One, X-Two], max_age: 600, methods: [GET, POST], headers: [X-In]}}")
  .. route("rest", "{name: cors, config: {preflight_continue: true, private_network: true}}")
  .. route("refused", "{name: cors, config: {origins: ['" .. A .. "']}}, {name: key-auth}")

describe("access", function()
  local gw, up

  setup(function()
    gw, up = site.start({ more = MORE, settings = { trusted_ips = "127.0.0.0/8", real_ip_header = "X-Forwarded-For" } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  before_each(function()
    up:answer(nil)
  end)

  describe("by ip-restriction", function()
    local function refused(response, status, message)
      assert.status(status, response)
      assert.same(message, response:json().message)
      assert.same(32, #response:json().request_id)
    end

    it("goes by the peer", function()
      assert.status(200, client.get(gw, "/inside"))
      refused(client.get(gw, "/outside"), 404, "gone")
      refused(client.get(gw, "/other"), 403, "IP address not allowed: 127.0.0.1")
    end)

    it("goes by the client that a trusted proxy names", function()
      refused(client.get(gw, "/inside", { ["X-Forwarded-For"] = "127.0.0.2" }), 403, "IP address not allowed: 127.0.0.2")
      for ip, status in pairs({ ["10.1.2.3"] = 200, ["fd12::3"] = 200, ["192.0.2.1"] = 403, ["2001:db8::1"] = 403 }) do
        assert.status(status, client.get(gw, "/other", { ["X-Forwarded-For"] = ip }))
      end
      assert.status(200, client.get(gw, "/outside", { ["X-Forwarded-For"] = "192.0.2.1" }))
    end)
  end)

  describe("by bot-detection", function()
    local function get(agent)
      return client.get(gw, "/bots", { ["User-Agent"] = agent })
    end

    it("keeps robots out", function()
      for _, agent in ipairs(ROBOTS) do
        local response = get(agent)
        if response.status ~= 403 then
          error("let pass: " .. agent)
        end
        assert.gateway_error(403, response)
        assert.same("Forbidden", response:json().message)
      end
    end)

    it("lets people and programs pass", function()
      for _, agent in ipairs(PEOPLE) do
        if get(agent).status ~= 200 then
          error("refused: " .. agent)
        end
      end
      assert.status(200, client.get(gw, "/bots"))
    end)

    it("asks the configured patterns first", function()
      assert.status(200, get("GoodBot/1.0"))
      assert.status(403, get("xGoodBot/1.0"))
      assert.status(403, get("my BadAgent"))
    end)

    it("refuses two names", function()
      local response = get({ "curl/8", "curl/8" })
      assert.gateway_error(400, response)
      assert.same("Only one User-Agent header allowed", response:json().message)
    end)
  end)

  describe("by cors", function()
    local NAMES = { "Origin", "Credentials", "Methods", "Headers", "Private-Network" }

    -- What the response says: {Origin = , Credentials = , ..., Vary = , ["Max-Age"] =, Expose =}.
    local function said(response)
      local out = { Vary = response:header("Vary"), ["Max-Age"] = response:header("Access-Control-Max-Age"),
        Expose = response:header("Access-Control-Expose-Headers") }
      for _, name in ipairs(NAMES) do
        out[name] = response:header("Access-Control-Allow-" .. name)
      end
      return out
    end

    local function preflight(path, origin, more)
      local headers = { Origin = origin, ["Access-Control-Request-Method"] = "POST" }
      for name, value in pairs(more or {}) do
        headers[name] = value
      end
      return client.request({ to = gw, method = "OPTIONS", path = path, headers = headers })
    end

    local function assert_answered(response)
      assert.status(200, response)
      assert.same("", response.body)
    end

    it("answers preflights for everybody", function()
      local before = #up.requests
      local response = preflight("/all", A, { ["Access-Control-Request-Headers"] = "x-a,x-b" })
      assert_answered(response)
      assert.same({ Origin = "*", Methods = "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT", Headers = "x-a,x-b" },
        said(response))
      assert.same(before, #up.requests)
    end)

    it("answers preflights for some", function()
      local want = { Methods = "GET,POST", Headers = "X-In", Credentials = "true", ["Max-Age"] = "600",
        Vary = "Origin" }
      for _, origin in ipairs({ A, B }) do
        local response = preflight("/some", origin)
        assert_answered(response)
        want.Origin = origin
        assert.same(want, said(response))
      end
      for _, origin in ipairs({ "https://a.example.evil", "http://a.example", "https://b.preview.example.evil", "null" }) do
        local response = preflight("/some", origin)
        assert_answered(response)
        assert.same({ Methods = "GET,POST", Headers = "X-In", ["Max-Age"] = "600", Vary = "Origin" }, said(response))
      end
    end)

    it("leaves preflights to the upstream when told so", function()
      up:answer({ status = 204, headers = { ["Access-Control-Allow-Origin"] = "upstream" } })
      local response = preflight("/rest", A, { ["Access-Control-Request-Private-Network"] = "true" })
      assert.status(204, response)
      assert.same({ Origin = "upstream" }, said(response))
    end)

    it("says who may read other responses", function()
      up:answer({ status = 200, headers = { Vary = "Accept", ["Access-Control-Allow-Origin"] = "*" }, body = "x" })
      local response = client.get(gw, "/some", { Origin = B })
      assert.same({ Origin = B, Credentials = "true", Expose = "X-One,X-Two" },
        { Origin = response:header("Access-Control-Allow-Origin"),
          Credentials = response:header("Access-Control-Allow-Credentials"),
          Expose = response:header("Access-Control-Expose-Headers") })
      assert.same({ "Accept", "Origin" }, response:all("Vary"))
      assert.header(nil, client.get(gw, "/some", { Origin = "https://c.example" }), "Access-Control-Allow-Origin")
      assert.header("*", client.get(gw, "/all"), "Access-Control-Allow-Origin")
    end)

    it("says so on the gateway's own errors too", function()
      local response = client.get(gw, "/refused", { Origin = A })
      assert.gateway_error(401, response)
      assert.same({ Origin = A, Vary = "Origin" }, said(response))
    end)
  end)
end)
