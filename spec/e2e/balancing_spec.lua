-- How requests are shared among the targets of an Upstream, from the configuration to the wire.

require("e2e.support.expect")
local client = require("e2e.support.client")
local dns = require("e2e.support.dns")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")
local upstream = require("e2e.support.upstream")

local CONFIG = [[
_format_version: "3.0"
upstreams:
- name: pool
  %s
  targets: [%s]
services:
- name: app
  host: pool
  retries: %d
  connect_timeout: 2000
  routes:
  - {name: app, paths: ["/", "~/users/(?<user>[^/]+)$"], strip_path: false}
]]

describe("an Upstream", function()
  local gw, ups, names

  before_each(function()
    ups = {}
    for i = 1, 3 do
      ups[i] = upstream.start({ answer = function()
        return { body = tostring(i) }
      end })
    end
  end)

  after_each(function()
    local ok, err = pcall(function()
      if gw then
        gw:stop()
      end
    end)
    for _, up in ipairs(ups) do
      up:stop()
    end
    if names then
      names:stop()
    end
    gw, names = nil, nil
    assert(ok, err)
  end)

  -- The targets as YAML: those of `more` (numbers: which upstream; texts: as they are).
  local function targets(list)
    local out = {}
    for i, one in ipairs(list or { 1, 2, 3 }) do
      out[i] = type(one) == "number" and ('{target: "127.0.0.1:%d"}'):format(ups[one].port) or one
    end
    return table.concat(out, ", ")
  end

  local function config(settings, list, retries)
    return CONFIG:format(settings or "algorithm: round-robin", targets(list), retries or 0)
  end

  local function start(settings, list, opts)
    opts = opts or {}
    opts.config = config(settings, list, opts.retries)
    gw = gateway.start(opts)
  end

  -- How often each upstream answered n requests made by spec(i).
  local function shares(n, spec)
    local counts = { 0, 0, 0 }
    for i = 1, n do
      local request = spec and spec(i) or {}
      request.to, request.path = gw, request.path or "/"
      local response = client.request(request)
      assert.status(200, response)
      counts[tonumber(response.body)] = counts[tonumber(response.body)] + 1
    end
    return counts
  end

  local function same(n, spec)
    local counts = shares(n, spec)
    return math.max(unpack(counts)) == n
  end

  local function many(spec)
    local counts = shares(60, spec)
    return math.min(unpack(counts)) > 3
  end

  local function with(name, value)
    return function(i)
      return { headers = { [name] = type(value) == "function" and value(i) or value } }
    end
  end

  it("shares by weight", function()
    start(nil, { ('{target: "127.0.0.1:%d", weight: 20}'):format(ups[1].port),
      ('{target: "127.0.0.1:%d", weight: 10}'):format(ups[2].port),
      ('{target: "127.0.0.1:%d", weight: 0}'):format(ups[3].port) })
    assert.same({ 20, 10, 0 }, shares(30))
  end)

  it("tries another target when one refuses, each once", function()
    local refused = '{target: "127.0.0.1:' .. upstream.refused_port() .. '"}'
    local refused_too = '{target: "127.0.0.1:' .. upstream.refused_port() .. '"}'
    start(nil, { refused, refused_too, 3 }, { retries = 2 })
    assert.same({ 0, 0, 12 }, shares(12))
    local entry = gw:wait_access(function(entry)
      return #entry.tries == 3
    end)
    local seen = {}
    for _, try in ipairs(entry.tries) do
      assert.is_nil(seen[try.port])
      seen[try.port] = true
    end
  end)

  it("answers 503 when no target has weight", function()
    start(nil, { '{target: "127.0.0.1:1", weight: 0}' })
    local response = client.get(gw, "/")
    assert.status(503, response)
    assert.same("failure to get a peer from the ring-balancer", response:json().message)
  end)

  it("uses failover targets only while no other can be", function()
    start("healthchecks: {passive: {unhealthy: {http_failures: 1}}}",
      { 1, ('{target: "127.0.0.1:%d", failover: true}'):format(ups[2].port) })
    assert.same({ 10, 0, 0 }, shares(10))
    ups[1]:answer({ status = 500, body = "1" })
    assert.status(500, client.get(gw, "/"))
    assert.same({ 0, 10, 0 }, shares(10))
  end)

  describe("with consistent hashing", function()
    local function hashing(on)
      start("algorithm: consistent-hashing\n  " .. on, nil, {})
    end

    it("goes by a header, and by the fallback without it", function()
      hashing("hash_on: header\n  hash_on_header: X-User\n  hash_fallback: query_arg\n  hash_fallback_query_arg: q")
      assert.is_true(same(10, with("X-User", "anna")))
      assert.is_true(many(with("X-User", tostring)))
      assert.is_true(same(10, function()
        return { path = "/?q=1" }
      end))
      assert.is_true(many(function(i)
        return { path = "/?q=" .. i }
      end))
      assert.same({ 3, 3, 3 }, shares(9)) -- nothing to go by: in turn
    end)

    it("goes by the client's address", function()
      hashing("hash_on: ip")
      assert.is_true(same(10))
    end)

    it("goes by the path", function()
      hashing("hash_on: path")
      assert.is_true(same(10, function()
        return { path = "/a" }
      end))
      assert.is_true(many(function(i)
        return { path = "/" .. i }
      end))
    end)

    it("goes by a capture of the route", function()
      hashing("hash_on: uri_capture\n  hash_on_uri_capture: user")
      assert.is_true(same(10, function(i)
        return { path = "/users/anna?i=" .. i }
      end))
      assert.is_true(many(function(i)
        return { path = "/users/" .. i }
      end))
    end)

    it("goes by a cookie, which it sets when it is missing", function()
      hashing("hash_on: cookie\n  hash_on_cookie: sid\n  hash_on_cookie_path: /shop")
      local first = client.get(gw, "/")
      local cookie = first:header("set-cookie")
      local value = cookie:match("^sid=(%x+); Path=/shop$")
      assert.same(32, #value)
      assert.is_true(same(10, with("Cookie", "a=b; sid=" .. value)))
      assert.same(first.body, client.get(gw, "/", { Cookie = "sid=" .. value }).body)
      assert.is_nil(client.get(gw, "/", { Cookie = "sid=" .. value }):header("set-cookie"))
      assert.is_true(many()) -- each gets another cookie
    end)

    it("moves only the keys of a target that goes", function()
      hashing("hash_on: header\n  hash_on_header: X-User")
      local before = {}
      for i = 1, 60 do
        before[i] = client.get(gw, "/", { ["X-User"] = "u" .. i }).body
      end
      gw:reload(config("algorithm: consistent-hashing\n  hash_on: header\n  hash_on_header: X-User", { 2, 3 }))
      local moved = 0
      for i = 1, 60 do
        local now = client.get(gw, "/", { ["X-User"] = "u" .. i }).body
        if before[i] == "1" then
          moved = moved + 1
        else
          assert.same(before[i], now)
        end
      end
      assert.is_true(moved > 5)
    end)
  end)

  it("keeps a session at the target that answered", function()
    start("algorithm: sticky-sessions\n  sticky_sessions_cookie: stick", nil, { retries = 2 })
    local first = client.get(gw, "/")
    local value = first:header("set-cookie"):match("^stick=(%x+); Path=/$")
    for _ = 1, 10 do
      local response = client.get(gw, "/", { Cookie = "stick=" .. value })
      assert.same(first.body, response.body)
      assert.is_nil(response:header("set-cookie"))
    end
    ups[tonumber(first.body)]:stop()
    local other = client.get(gw, "/", { Cookie = "stick=" .. value })
    assert.status(200, other)
    assert.not_same(value, other:header("set-cookie"):match("^stick=(%x+)"))
    table.remove(ups, tonumber(first.body))
  end)

  it("goes where the fewest requests are under way", function()
    start("algorithm: least-connections", { 1, 2 })
    local go
    ups[1]:on(function(c)
      c:read_request()
      sched.wait_until(function()
        return go
      end)
      c:send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1")
    end)
    local slow = client.connect(gw)
    slow:write({ path = "/" })
    ups[1]:wait_requests(1)
    assert.same({ 0, 8, 0 }, shares(8))
    go = true
    assert.status(200, slow:answer())
    slow:close()
  end)

  it("goes where answers are quick", function()
    start("algorithm: latency", { 1, 2 })
    ups[1]:answer(function(_, c)
      c:sleep(0.1)
      return { body = "1" }
    end)
    local counts = shares(20)
    assert.is_true(counts[1] <= 3, counts[1])
  end)

  it("sends the Host that was configured", function()
    ups[1]:answer(nil)
    start("host_header: shop.test", { 1 })
    assert.same("shop.test", client.get(gw, "/"):json().headers.host)
    gw:reload(config(nil, { 1 }))
    assert.same("127.0.0.1:" .. ups[1].port, client.get(gw, "/"):json().headers.host)
  end)

  describe("with names in DNS", function()
    local function start_dns(zone, list, opts)
      names = dns.start(zone)
      opts = opts or {}
      opts.settings = { dns_servers = names.address }
      start(nil, list, opts)
    end

    it("takes ports and weights from SRV, of the best priority only", function()
      start_dns({ ["pool.test"] = { SRV = {
        { 1, 20, ups[1].port, "a.test" }, { 1, 10, ups[2].port, "a.test" }, { 2, 99, ups[3].port, "a.test" },
      } }, ["a.test"] = { A = { "127.0.0.1" }, ttl = 60 } }, { '{target: "pool.test:1"}' })
      assert.same({ 20, 10, 0 }, shares(30))
    end)

    it("sends the name of the SRV record as Host when told to", function()
      names = dns.start({ ["pool.test"] = { SRV = { { 1, 1, ups[1].port, "a.test" } } }, ["a.test"] = { A = { "127.0.0.1" } } })
      ups[1]:answer(nil)
      start("use_srv_name: true", { '{target: "pool.test:1"}' }, { settings = { dns_servers = names.address } })
      assert.same("a.test:" .. ups[1].port, client.get(gw, "/"):json().headers.host)
    end)

    it("follows the records when their time to live is over", function()
      local host = ('{target: "app.test:%d"}'):format(ups[1].port)
      start_dns({ ["app.test"] = { A = { "127.0.0.1" } } }, { host })
      assert.same({ 3, 0, 0 }, shares(3))
      ups[1]:answer(nil)
      assert.same("app.test:" .. ups[1].port, client.get(gw, "/"):json().headers.host)
      names.zone["app.test"] = { SRV = { { 1, 1, ups[2].port, "b.test" } } }
      names.zone["b.test"] = { A = { "127.0.0.1" } }
      sched.wait_until(function()
        return client.get(gw, "/").body == "2"
      end)
    end)

    it("goes on with what it knows while servers are silent", function()
      start_dns({ ["app.test"] = { A = { "127.0.0.1" } } }, { ('{target: "app.test:%d"}'):format(ups[1].port) })
      assert.same({ 1, 0, 0 }, shares(1))
      local asked = #names.questions
      names.silent = true
      sched.wait_until(function()
        return #names.questions > asked + 1
      end)
      assert.same({ 3, 0, 0 }, shares(3))
    end)

    it("uses addresses when nobody answers about SRV", function()
      names = dns.start({ ["app.test"] = { A = { "127.0.0.1" } } })
      names.silent = "SRV"
      start(nil, { ('{target: "app.test:%d"}'):format(ups[1].port) }, { settings = { dns_servers = names.address } })
      local from = sched.now()
      assert.same({ 1, 0, 0 }, shares(1))
      assert.is_true(sched.now() - from < 1.5 * sched.slow) -- not the resolver's whole patience
    end)

    it("lets the first requests wait for a name, and answers 503 when no server answers in time", function()
      names = dns.start({})
      names.silent = true
      start(nil, { '{target: "app.test:1"}' }, { settings = { dns_servers = names.address } })
      gw:reload(config(nil, { '{target: "app.test:1"}' }):gsub("connect_timeout: 2000", "connect_timeout: 200"))
      gw:expect_error("name resolution failed")
      local response = client.get(gw, "/")
      assert.status(503, response)
      assert.same("name resolution failed", response:json().message)
    end)

    it("leaves out a name that does not exist, and says so", function()
      start_dns({ ["app.test"] = { A = { "127.0.0.1" } } },
        { '{target: "gone.test:80"}', ('{target: "app.test:%d"}'):format(ups[1].port) })
      assert.same({ 4, 0, 0 }, shares(4))
      gw:wait_log("target gone.test:80 has no address: name not found")
      local data = client.get(gw:status(), "/upstreams/pool/health"):json().data
      assert.same("DNS_ERROR", data[1].health)
      assert.same({}, data[1].data.addresses)
      assert.same("HEALTHCHECKS_OFF", data[2].health)
      names.zone["gone.test"] = { A = { "127.0.0.1" } }
      gw:wait_log("target gone.test:80: its name is resolved again")
    end)

    it("answers 503 when no name exists", function()
      start_dns({}, { '{target: "gone.test:80"}' })
      local response = client.get(gw, "/")
      assert.status(503, response)
      assert.same("failure to get a peer from the ring-balancer", response:json().message)
    end)

    it("prefers IPv4, and uses IPv6 alone", function()
      start_dns({ ["both.test"] = { A = { "127.0.0.1" }, AAAA = { "::1" } }, ["six.test"] = { AAAA = { "::1" } } },
        { '{target: "both.test:1"}', '{target: "six.test:2"}' })
      local data = sched.wait_until(function()
        local data = client.get(gw:status(), "/upstreams/pool/health"):json().data
        return #data[1].data.addresses == 1 and #data[2].data.addresses == 1 and data
      end)
      assert.same("127.0.0.1", data[1].data.addresses[1].ip)
      assert.same("::1", data[2].data.addresses[1].ip)
    end)
  end)
end)
