-- The health of targets: what proxied requests and probes do to it, who sees it, and what it survives.

require("e2e.support.expect")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")
local upstream = require("e2e.support.upstream")

local CONFIG = [[
_format_version: "3.0"
upstreams:
- name: pool
  healthchecks: %s
  targets: [{target: "127.0.0.1:%d"}, {target: "127.0.0.1:%d"}]
services:
- name: app
  host: pool
  retries: %d
  read_timeout: 300
  routes:
  - {name: app, paths: ["/"]}
plugins:
- {name: prometheus, config: {upstream_health_metrics: true}}
%s
]]

local SETTER = {
  ["plugins/setter/schema.lua"] = [[
    return { name = "setter", fields = { { config = { type = "record", fields = {} } } } }]],
  ["plugins/setter/handler.lua"] = [[
    local upstream = require "moongate.abi.upstream"
    local M = { PRIORITY = 1, VERSION = "1.0.0" }
    function M:access()
      local want = kong.request.get_header("X-Set")
      if want then
        local ok, err = upstream.set_health(kong.request.get_header("X-Upstream") or "pool",
          kong.request.get_header("X-Target"), kong.request.get_header("X-Address"), want == "healthy")
        return kong.response.exit(ok and 204 or 404, err)
      end
    end
    return M]],
}

describe("the health of targets", function()
  local gw, a, b

  before_each(function()
    a = upstream.start():answer({ body = "a" })
    b = upstream.start():answer({ body = "b" })
  end)

  after_each(function()
    local ok, err = pcall(function()
      if gw then
        gw:stop()
      end
    end)
    a:stop()
    b:stop()
    gw = nil
    assert(ok, err)
  end)

  local function config(checks, opts)
    return CONFIG:format(checks, a.port, b.port, opts and opts.retries or 0, opts and opts.more or "")
  end

  local function start(checks, opts)
    opts = opts or {}
    local files = { ["kong.yaml"] = config(checks, opts) }
    for name, text in pairs(opts.files or {}) do
      files[name] = text
    end
    local settings = opts.settings or {}
    settings.trusted_plugins = "setter" -- it looks at our modules too
    gw = gateway.start({ config = files, workers = opts.workers, settings = settings })
  end

  -- {port = health} of the addresses, as the status listener has them.
  local function health()
    local found = {}
    for _, target in ipairs(client.get(gw:status(), "/upstreams/pool/health"):json().data) do
      for _, address in ipairs(target.data.addresses) do
        found[address.port] = address.health
      end
    end
    return found
  end

  local function wait_health(up, wanted)
    sched.wait_until(function()
      return health()[up.port] == wanted
    end, nil, function()
      return tostring(health()[up.port]) .. " is not " .. wanted .. "\n" .. gw:errors()
    end)
  end

  -- Who answers n requests: "aabb".
  local function who(n)
    local out = {}
    for i = 1, n do
      local response = client.get(gw, "/")
      out[i] = response.status == 200 and response.body or tostring(response.status)
    end
    table.sort(out)
    return table.concat(out)
  end

  -- Requests until the health of `up` is as wanted.
  local function ask_until(up, wanted)
    sched.wait_until(function()
      client.get(gw, "/")
      return health()[up.port] == wanted
    end)
  end

  describe("by proxied requests", function()
    local PASSIVE = "{passive: {unhealthy: {http_failures: 2, tcp_failures: 1, timeouts: 1}}}"

    it("is taken away by answers that count as failures", function()
      start(PASSIVE)
      assert.same({ [a.port] = "HEALTHY", [b.port] = "HEALTHY" }, health())
      a:answer({ status = 503 })
      ask_until(a, "UNHEALTHY")
      assert.same("bbbbbb", who(6))
      gw:wait_log("upstream pool: target 127.0.0.1:" .. a.port .. " .* is unhealthy: it answered with 503")
    end)

    it("is not touched by statuses that are in no list", function()
      start(PASSIVE)
      a:answer({ status = 404 })
      for _ = 1, 10 do
        client.get(gw, "/")
      end
      assert.same("HEALTHY", health()[a.port])
    end)

    it("is taken away by connections refused, while requests go elsewhere", function()
      start(PASSIVE, { retries = 1 })
      a:stop()
      assert.same("bbbb", who(4))
      assert.same("UNHEALTHY", health()[a.port])
    end)

    it("is taken away by silence", function()
      gw = nil
      start(PASSIVE)
      a:on(function(c)
        c:read_request()
        pcall(c.wait_closed, c, sched.limit)
      end)
      gw:expect_error("timeout")
      ask_until(a, "UNHEALTHY")
      assert.same("bbb", who(3))
    end)

    it("leaves nobody: 503", function()
      start(PASSIVE)
      a:answer({ status = 500 })
      b:answer({ status = 500 })
      ask_until(a, "UNHEALTHY")
      ask_until(b, "UNHEALTHY")
      local response = client.get(gw, "/")
      assert.status(503, response)
      assert.same("failure to get a peer from the ring-balancer", response:json().message)
      local whole = client.get(gw:status(), "/upstreams/pool/health?balancer_health=1"):json().data
      assert.same("UNHEALTHY", whole.health)
      assert.same({ total = 200, available = 0, unavailable = 200 }, whole.details.weight)
    end)

    it("below the threshold is nobody's", function()
      start("{threshold: 60, passive: {unhealthy: {http_failures: 1}}}")
      a:answer({ status = 500 })
      ask_until(a, "UNHEALTHY")
      assert.same("503503", who(2))
    end)

    it("is shared by all workers, and survives their death and reloads", function()
      start(PASSIVE, { workers = 2 })
      a:answer({ status = 503 })
      ask_until(a, "UNHEALTHY")
      a:answer({ body = "a" })
      assert.same(("b"):rep(20), who(20))
      gw:reload(config("{passive: {unhealthy: {http_failures: 3}}}"))
      assert.same("UNHEALTHY", health()[a.port])
      assert.same(("b"):rep(20), who(20))
      gw:expect_error("signal 9")
      local old = {}
      for _, vm in ipairs(client.get(gw:status(), "/status"):json().memory.workers_lua_vms) do
        old[vm.pid] = true
        os.execute("kill -9 " .. vm.pid)
      end
      sched.wait_until(function()
        local ok, response = pcall(client.get, gw:status(), "/status")
        local vms = ok and response:json().memory.workers_lua_vms or {}
        return #vms == 2 and not old[vms[1].pid] and not old[vms[2].pid]
      end)
      assert.same("UNHEALTHY", health()[a.port])
      assert.same(("b"):rep(20), who(20))
    end)

    it("counts no more once the checks are gone", function()
      start(PASSIVE)
      a:answer({ status = 503 })
      ask_until(a, "UNHEALTHY")
      a:answer({ body = "a" })
      gw:reload(config("{}"))
      assert.same({ [a.port] = "HEALTHCHECKS_OFF", [b.port] = "HEALTHCHECKS_OFF" }, health())
      assert.same("aabb", who(4))
    end)
  end)

  describe("by probes", function()
    local ACTIVE = "{active: {%s timeout: 0.2, healthy: {interval: 0.05, successes: 2}, "
      .. "unhealthy: {interval: 0.05, http_failures: 2, tcp_failures: 2, timeouts: 2}}}"

    it("falls and comes back without a request", function()
      start(ACTIVE:format('http_path: "/up", headers: {X-Probe: ["1"]},'))
      a:wait_requests(1)
      assert.same("/up", a:last().target)
      assert.same("1", a:last():header("x-probe"))
      assert.same("127.0.0.1:" .. a.port, a:last():header("host"))
      a:answer({ status = 500 })
      wait_health(a, "UNHEALTHY")
      assert.same("bbbb", who(4))
      a:answer({ body = "a" })
      wait_health(a, "HEALTHY")
      assert.same("aabb", who(4))
    end)

    it("falls with a target that does not answer, or not in HTTP", function()
      start(ACTIVE:format(""))
      a:on(function(c)
        pcall(c.wait_closed, c, sched.limit)
      end)
      b:on(function(c)
        c:send("220 mail.test ESMTP\r\n")
        pcall(c.wait_closed, c, sched.limit)
      end)
      wait_health(a, "UNHEALTHY")
      gw:wait_log(a.port .. " .*its probe failed: timeout")
      gw:wait_log(b.port .. " .*its probe was not answered in HTTP")
    end)

    it("needs but a connection with type tcp", function()
      start(ACTIVE:format("type: tcp,"))
      a:stop()
      wait_health(a, "UNHEALTHY")
      assert.same("HEALTHY", health()[b.port])
    end)

    it("is asked for by so many at once as are allowed", function()
      local go
      local function hold(c)
        c:read_request()
        sched.wait_until(function()
          return go
        end)
        c:send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      end
      a:on(hold)
      b:on(hold)
      start("{active: {concurrency: 1, timeout: 5, healthy: {interval: 0.02}}}")
      sched.wait_until(function()
        return #a.requests + #b.requests == 1
      end)
      sched.sleep(0.2) -- ten more rounds
      assert.same(1, #a.connections + #b.connections)
      go = true
      a:wait_requests(2)
      b:wait_requests(2)
    end)

    it("is asked for by one worker of all, and by another when that one is gone", function()
      start("{active: {healthy: {interval: 0.1}}}", { workers = 3 })
      a:wait_requests(3)
      local from, before = sched.now(), #a.requests
      sched.wait_until(function()
        return sched.now() - from > 1
      end)
      local per_second = (#a.requests - before) / (sched.now() - from)
      assert.is_true(per_second < 13, per_second .. " probes a second")
      gw:expect_error("signal 9")
      local pids = {}
      for _, vm in ipairs(client.get(gw:status(), "/status"):json().memory.workers_lua_vms) do
        pids[#pids + 1] = vm.pid
      end
      for _, pid in ipairs(pids) do
        os.execute("kill -9 " .. pid)
      end
      a:wait_requests(#a.requests + 5)
    end)

    it("goes on over reloads that come quicker than the interval", function()
      local checks = "{active: {healthy: {interval: 0.4}}}"
      start(checks)
      local seen = #a.requests
      for i = 1, 12 do
        gw:reload(config(checks, { more = "- {name: correlation-id, config: {header_name: X-" .. i .. "}}" }))
        sched.sleep(0.1)
      end
      assert.is_true(#a.requests > seen)
    end)

    it("over TLS checks the certificate only if told to", function()
      a:stop()
      a = upstream.start({ tls = true }):answer({ body = "a" })
      start(ACTIVE:format("type: https, https_sni: upstream.test, https_verify_certificate: false,"))
      a:wait_requests(2)
      assert.same("HEALTHY", health()[a.port])
      gw:reload(config(ACTIVE:format("type: https, https_sni: upstream.test,")))
      wait_health(a, "UNHEALTHY")
    end)

    it("is refused for gRPC", function()
      local result = gateway.command({ "check" }, { config = config("{active: {type: grpc, healthy: {interval: 1}}}") })
      assert.not_same(0, result.code)
      assert.matches("active health checks of type 'grpc' are not supported; use 'tcp'", result.output, 1, true)
    end)
  end)

  describe("by hand", function()
    local function set(want, target, more)
      local headers = { ["X-Set"] = want, ["X-Target"] = target }
      for name, value in pairs(more or {}) do
        headers[name] = value
      end
      return client.get(gw, "/", headers)
    end

    before_each(function()
      start("{}", { files = SETTER, more = "- {name: setter}", settings = { trusted_plugins = "setter" } })
    end)

    it("is set and taken back, without checks too", function()
      local target = "127.0.0.1:" .. a.port
      assert.status(204, set("unhealthy", target))
      assert.same({ [a.port] = "UNHEALTHY", [b.port] = "HEALTHCHECKS_OFF" }, health())
      assert.same("bbbb", who(4))
      assert.status(204, set("healthy", target, { ["X-Address"] = target }))
      assert.same("aabb", who(4))
    end)

    it("is refused for what does not exist", function()
      assert.matches("no Upstream is named 'moon'", set("healthy", "x:1", { ["X-Upstream"] = "moon" }).body, 1, true)
      assert.matches("the upstream has no such target", set("healthy", "x:1").body, 1, true)
      assert.matches("the target has no such address",
        set("healthy", "127.0.0.1:" .. a.port, { ["X-Address"] = "127.0.0.1:1" }).body, 1, true)
    end)
  end)

  it("is shown as metrics, each state of each address", function()
    start("{passive: {unhealthy: {http_failures: 1}}}")
    local function state(up, name)
      local address = "127.0.0.1:" .. up.port
      return gw:metrics()[('kong_upstream_target_health{upstream="pool",target="%s",address="%s",state="%s",subsystem="http"}')
        :format(address, address, name)]
    end
    assert.same(1, state(a, "healthy"))
    assert.same(0, state(a, "unhealthy"))
    a:answer({ status = 500 })
    ask_until(a, "UNHEALTHY")
    assert.same(0, state(a, "healthy"))
    assert.same(1, state(a, "unhealthy"))
    assert.same(0, state(a, "dns_error"))
    assert.same(1, state(b, "healthy"))
  end)

  it("is shown with Kong's members", function()
    start("{}")
    local answer = client.get(gw:status(), "/upstreams/pool/health"):json()
    assert.is_string(answer.node_id)
    local one = answer.data[1]
    assert.same("127.0.0.1:" .. a.port, one.target)
    assert.same(100, one.weight)
    assert.same("HEALTHCHECKS_OFF", one.health)
    assert.same({ host = "127.0.0.1", port = a.port, nodeWeight = 100,
      weight = { total = 100, available = 100, unavailable = 0 },
      addresses = { { ip = "127.0.0.1", port = a.port, weight = 100, health = "HEALTHCHECKS_OFF" } } }, one.data)
    assert.same(one.target, client.get(gw:status(), "/upstreams/" .. one.upstream.id .. "/health"):json().data[1].target)
    assert.status(404, client.get(gw:status(), "/upstreams/moon/health"))
    assert.status(405, client.request({ to = gw:status(), method = "DELETE", path = "/upstreams/pool/health" }))
  end)
end)
