-- The PDK inside the gateway: a probe plugin does the calls that a request names (spec/e2e/plugins/probe).
-- What each function checks and how it parses is in spec/lualib/pdk; here is that it reaches the real request.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local ROOT = os.getenv("MOONGATE_ROOT") or assert(io.popen("pwd")):read("*l")
local ALICE = "8a8a8a8a-0000-4000-8000-000000000001"

local MORE = [[
routes:
- name: captured
  service: app
  paths: ["~/captured/(?<name>[a-z]+)/([0-9]+)"]
plugins:
- name: probe
consumers:
- id: ]] .. ALICE .. [[

  username: alice
  custom_id: A-1
  keyauth_credentials:
  - id: 8a8a8a8a-0000-4000-8000-00000000000a
    key: secret
  acls:
  - group: dev
  probe_tokens:
  - token: t-1
probe_tokens:
- token: t-2
  consumer: alice
  uses: 9
upstreams:
- name: pool
  targets:
  - target: 127.0.0.1:9
key_sets:
- name: main
]]

describe("the PDK", function()
  local gw, up

  setup(function()
    gw, up = site.start({
      more = MORE,
      settings = { plugin_dirs = ROOT .. "/spec/e2e", trusted_plugins = "probe" },
      env = { PROBE_SECRET = "hidden" },
    })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  before_each(function()
    up:answer(nil)
  end)

  -- One request with calls; opts: path, method, headers, body, phase, pass.
  local function send(calls, opts)
    opts = opts or {}
    local headers = { { "X-Probe-Calls", cjson.encode(calls) } }
    if opts.phase then
      headers[#headers + 1] = { "X-Probe-Phase", opts.phase }
    end
    if opts.pass then
      headers[#headers + 1] = { "X-Probe-Pass", "1" }
    end
    for _, field in ipairs(opts.headers or {}) do
      headers[#headers + 1] = field
    end
    return client.request({
      to = gw, method = opts.method or (opts.body and "POST") or "GET", path = opts.path or "/",
      headers = headers, body = opts.body,
    })
  end

  -- The first value of each call, or its error.
  local function firsts(results)
    local out = {}
    for i, result in ipairs(results) do
      out[i] = result.error or result.values[1]
    end
    return out
  end

  local function ask(calls, opts)
    local response = send(calls, opts)
    assert.status(200, response)
    return firsts(response:json())
  end

  -- ---- access ----

  describe("reads", function()
    it("the request line", function()
      assert.same({ "PUT", "/a%20b-", "/x/../a%20b%2d", "/x/../a%20b%2d?c=1&d", "c=1&d", "1", true, "http", 1.1, gw.port }, ask({
        { "request.get_method" }, { "request.get_path" }, { "request.get_raw_path" },
        { "request.get_path_with_query" }, { "request.get_raw_query" }, { "request.get_query_arg", "c" },
        { "request.get_query_arg", "d" }, { "request.get_scheme" }, { "request.get_http_version" },
        { "request.get_port" },
      }, { method = "PUT", path = "/x/../a%20b%2d?c=1&d" }))
    end)

    it("header fields", function()
      local got = ask({ { "request.get_header", "x_a" }, { "request.get_headers" }, { "request.get_host" } },
        { headers = { { "X-A", "1" }, { "X-a", "2" } } })
      assert.same("1", got[1])
      assert.same({ "1", "2" }, got[2]["x-a"])
      assert.same("gateway.test", got[3])
    end)

    it("bodies by their types", function()
      for mime, case in pairs({
        ["application/json"] = { '{"a":[1,2]}', { a = { 1, 2 } } },
        ["application/x-www-form-urlencoded"] = { "a=1&b", { a = "1", b = true } },
      }) do
        local got = ask({ { "request.get_raw_body" }, { "request.get_body" } },
          { body = case[1], headers = { { "Content-Type", mime } } })
        assert.same(case[1], got[1])
        assert.same(case[2], got[2])
      end
    end)

    it("a large body that comes in pieces", function()
      local body = ("x"):rep(300000)
      assert.same(body, ask({ { "request.get_raw_body" } }, { body = body })[1])
    end)

    it("addresses, route and service", function()
      local got = ask({ { "client.get_ip" }, { "client.get_forwarded_ip" }, { "router.get_route" },
        { "router.get_service" }, { "client.get_protocol" }, { "plugin.get_id" } })
      assert.same({ "127.0.0.1", "127.0.0.1" }, { got[1], got[2] })
      assert.same("app", got[3].name)
      assert.same(got[4].id, got[3].service.id)
      assert.same("app", got[4].name)
      assert.same("http", got[5])
      assert.same(36, #got[6])
    end)

    it("what the route captured", function()
      local got = ask({ { "request.get_uri_captures" } }, { path = "/captured/abc/42" })[1]
      assert.same("abc", got.named.name)
      assert.same("42", got.unnamed[2])
    end)

    it("consumers, credentials and groups of the configuration", function()
      local got = ask({
        { "client.load_consumer", ALICE }, { "client.load_consumer", "alice", true },
        { "db.consumers:select_by_custom_id", "A-1" }, { "db.keyauth_credentials:select_by_key", "secret" },
        { "db.acls:page_for_consumer", { id = ALICE } }, { "db.keyauth_credentials:select_by_key", "other" },
      })
      assert.same({ "alice", "alice", "alice" }, { got[1].username, got[2].username, got[3].username })
      assert.same(ALICE, got[4].consumer.id)
      assert.same("dev", got[5][1].group)
      assert.same(cjson.null, got[6])
    end)

    it("every other entity, plugins' own included, and writes none", function()
      local got = ask({
        { "db.probe_tokens:select_by_token", "t-2" }, { "db.probe_tokens:page_for_consumer", { id = ALICE } },
        { "db.probe_tokens:insert", {} }, { "db.targets:page" }, { "db.upstreams:select_by_name", "pool" },
        { "db.key_sets:select_by_name", "main" }, { "db.routes:page_for_service", { id = "none" } },
        { "db.plugins:page" }, { "db.oauth2_credentials:page" },
      })
      assert.same({ "t-2", 9, ALICE }, { got[1].token, got[1].uses, got[1].consumer.id })
      assert.same(2, #got[2])
      assert.same(cjson.null, got[3])
      assert.same({ "127.0.0.1:9", got[5].id }, { got[4][1].target, got[4][1].upstream.id })
      assert.same({ "main", 0, "probe", 0 }, { got[6].name, #got[7], got[8][1].name, #got[9] })
    end)

    it("the node, secrets and settings", function()
      local got = ask({ { "node.get_id" }, { "node.get_hostname" }, { "version" }, { "configuration.database" },
        { "vault.get", "{vault://env/probe-secret}" }, { "nginx.get_statistics" } })
      assert.same(36, #got[1])
      assert.truthy(#got[2] > 0)
      assert.same({ "3.9.0", "off", "hidden" }, { got[3], got[4], got[5] })
      assert.truthy(got[6].total_requests >= 1)
    end)
  end)

  it("resolves names", function()
    local got = ask({ { "dns.toip", "localhost", 80 }, { "dns.resolve", "localhost" }, { "dns.toip", "10.1.2.3" } })
    assert.truthy(got[1] == "127.0.0.1" or got[1] == "::1")
    assert.same("string", type(got[2][1].address))
    assert.same("10.1.2.3", got[3])
    local missing = send({ { "dns.toip", "no-such-host.invalid" } }):json()[1].values
    assert.same(cjson.null, missing[1])
    assert.matches("^dns client error: ", missing[2])
  end)

  it("says what is Kong Enterprise's alone", function()
    local got = ask({ { "jwe.encrypt", "a" }, { "websocket.client.get_frame" } })
    assert.matches("kong.jwe.encrypt: JSON Web Encryption is Kong Enterprise's and not supported here", got[1], 1, true)
    assert.matches("kong.websocket.client: the WebSocket PDK", got[2], 1, true)
  end)

  it("refuses a call in the wrong phase, and names the function", function()
    local text = ask({ { "response.get_status" } })[1]
    assert.truthy(text:find("function cannot be called in access phase (only in: response, header_filter, "
      .. "body_filter, log): kong.response.get_status", 1, true))
  end)

  it("authenticates, and the upstream's answer is then a consumer's", function()
    local got = ask({
      { "client.authenticate", { id = ALICE } }, { "client.get_consumer" },
    })
    assert.same("alice", got[2].username)
  end)

  -- ---- towards the upstream ----

  local function upstream_sees(calls, opts)
    opts = opts or {}
    opts.pass = true
    local response = send(calls, opts)
    assert.status(200, response)
    return response:json()
  end

  describe("changes", function()
    it("method, path and query", function()
      local seen = upstream_sees({
        { "service.request.set_method", "PATCH" }, { "service.request.set_path", "/new path" },
        { "service.request.set_query", { b = { "2", "3" }, a = "1 2" } },
      })
      assert.same("PATCH", seen.method)
      assert.same("/new%20path?a=1%202&b=2&b=3", seen.target)
    end)

    it("one argument of the query", function()
      assert.same("/?a=1&c=%20", upstream_sees({ { "service.request.clear_query_arg", "key" } },
        { path = "/?a=1&key=x&c=%20&key" }).target)
    end)

    it("header fields", function()
      local headers = upstream_sees({
        { "service.request.set_header", "X-A", { "1", "2" } }, { "service.request.set_header", "X-B", 5 },
        { "service.request.clear_header", "X-C" }, { "service.request.set_header", "Host", "other.test" },
        { "service.request.add_header", "X-B", true },
      }, { headers = { { "X-A", "old" }, { "X-C", "old" } } }).headers
      assert.same("1, 2", headers["x-a"])
      assert.same("5, true", headers["x-b"])
      assert.is_nil(headers["x-c"])
      assert.same("other.test", headers.host)
    end)

    it("the body", function()
      local seen = upstream_sees({ { "service.request.set_body", { a = { 1 } }, "application/json" } },
        { body = "old body that is longer than the new one" })
      assert.same('{"a":[1]}', seen.body)
      assert.same("9", seen.headers["content-length"])
      assert.same("application/json", seen.headers["content-type"])
    end)

    it("a body that was read first", function()
      local seen = upstream_sees({ { "request.get_raw_body" }, { "service.request.set_raw_body", "new" } },
        { body = "old" })
      assert.same("new", seen.body)
    end)

    it("the body where there was none", function()
      assert.same("new", upstream_sees({ { "service.request.set_raw_body", "new" } }, { method = "POST" }).body)
    end)

    it("the target", function()
      local host, port = up.url:match("://([^:/]+):(%d+)")
      assert.same("GET", upstream_sees({ { "service.set_target", host, tonumber(port) } }).method)
    end)
  end)

  -- ---- towards the client ----

  it("answers with status, fields and body", function()
    local response = send({ { "response.set_header", "X-Early", "1" },
      { "response.exit", 418, { message = "short" }, { ["X-A"] = { "1", "2" } } } })
    assert.status(418, response)
    assert.same({ message = "short" }, response:json())
    assert.same("application/json; charset=utf-8", response.headers["content-type"])
    assert.same("1, 2", response.headers["x-a"])
    assert.same("1", response.headers["x-early"])
  end)

  it("answers with an error in the form the client accepts", function()
    local response = send({ { "response.error", 429, "slow down", { ["Retry-After"] = 7 } } },
      { headers = { { "Accept", "application/json" } } })
    assert.status(429, response)
    assert.same("slow down", response:json().message)
    assert.same("7", response.headers["retry-after"])
  end)

  it("records changes of the response before it is there", function()
    local response = send({ { "response.set_header", "X-A", "1" }, { "response.clear_header", "X-Gone" } },
      { pass = true })
    assert.status(200, response)
    assert.same("1", response.headers["x-a"])
  end)

  it("reads and changes the head in header_filter", function()
    local response = send({
      { "response.get_status" }, { "service.response.get_status" }, { "response.get_source" },
      { "response.set_status", 202 }, { "response.get_header", "content-type" },
    }, { phase = "header_filter" })
    assert.status(202, response)
    local got = firsts(cjson.decode(response.headers["x-probe-result"]))
    assert.same({ 200, 200, "service" }, { got[1], got[2], got[3] })
    assert.same("string", type(got[5]))
  end)

  it("answers in header_filter instead of the upstream", function()
    local response = send({ { "response.exit", 503, { message = "withdrawn" }, { ["X-A"] = "1" } } },
      { phase = "header_filter" })
    assert.status(503, response)
    assert.same({ message = "withdrawn" }, response:json())
    assert.same("1", response.headers["x-a"])
  end)

  it("reads and replaces the body in body_filter", function()
    up:answer(function()
      return { body = "upstream body" }
    end)
    local response = send({ { "response.get_status" } }, { phase = "body_filter" })
    assert.status(200, response)
    local got = response:json()
    assert.same("upstream body", got.body)
    assert.same({ 200 }, firsts(got.results))
  end)

  it("reads the whole response in the response phase", function()
    up:answer(function()
      return { body = '{"a":1}', headers = { ["Content-Type"] = "application/json", ["X-Up"] = "1" } }
    end)
    local got = ask({ { "service.response.get_raw_body" }, { "service.response.get_body" },
      { "service.response.get_header", "x-up" }, { "service.response.get_status" } }, { phase = "response" })
    assert.same({ '{"a":1}', { a = 1 }, "1", 200 }, got)
  end)

  it("writes log lines under the plugin's name", function()
    assert.status(200, send({ { "log.notice", "seen ", 42 }, { "log.debug", "unseen" } }))
    assert.truthy(gw:wait_log("%[probe%] seen 42"):find("[notice].*%[kong%] "))
    assert.is_nil(gw:errors():find("unseen", 1, true))
  end)

  it("reads the record in the log phase, and adds to it", function()
    local response = send({ { "log.serialize" }, { "response.get_status" }, { "response.get_source" } },
      { phase = "log", path = "/logged" })
    assert.status(200, response)
    local entry = gw:wait_access(function(entry)
      return entry.probe
    end)
    local got = firsts(entry.probe)
    assert.same(200, got[1].response.status)
    assert.same("/logged", got[1].request.uri)
    assert.same({ 200, "service" }, { got[2], got[3] })
  end)
end)

describe("the PDK behind a trusted proxy", function()
  local gw, up

  setup(function()
    gw, up = site.start({
      more = MORE,
      settings = { plugin_dirs = ROOT .. "/spec/e2e", trusted_plugins = "probe", trusted_ips = "127.0.0.1" },
    })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("believes what it says of the client", function()
    local calls = {}
    for i, name in ipairs({ "request.get_forwarded_scheme", "request.get_forwarded_host",
      "request.get_forwarded_port", "request.get_forwarded_path", "request.get_forwarded_prefix",
      "client.get_forwarded_ip", "client.get_ip" }) do
      calls[i] = { name }
    end
    calls[#calls + 1] = { "client.get_protocol", true }
    calls[#calls + 1] = { "ip.is_trusted", "127.0.0.1" }
    local response = client.request({
      to = gw,
      headers = {
        ["X-Probe-Calls"] = cjson.encode(calls),
        ["X-Forwarded-Proto"] = "https", ["X-Forwarded-Host"] = "Outside.test", ["X-Forwarded-Port"] = "8443",
        ["X-Forwarded-Path"] = "/outside", ["X-Forwarded-Prefix"] = "/pre", ["X-Forwarded-For"] = "6.6.6.6",
        ["X-Real-IP"] = "6.6.6.6",
      },
    })
    local got = {}
    for i, result in ipairs(response:json()) do
      got[i] = result.error or result.values[1]
    end
    assert.same({ "https", "outside.test", 8443, "/outside", "/pre", "6.6.6.6", "127.0.0.1", "https", true }, got)
  end)
end)
