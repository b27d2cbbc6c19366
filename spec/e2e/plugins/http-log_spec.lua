-- http-log in a gateway: batches, and servers that refuse, fail, hang and come back. Each entry arrives
-- exactly once, or is counted as dropped.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local upstream = require("e2e.support.upstream")

local OK = { status = 200, body = "" }

describe("http-log", function()
  local gw, up, logs

  local function start(config, port, opts)
    opts = opts or {}
    opts.route = ("plugins:\n- name: http-log\n  config: {http_endpoint: \"%s\", %s}"):format(
      opts.endpoint or "http://127.0.0.1:" .. port .. "/in?k=v", config)
    gw, up = site.start(opts)
  end

  before_each(function()
    logs = upstream.start({ answer = function() return OK end })
  end)

  after_each(function()
    site.stop(gw, up)
    logs:stop()
    gw, up = nil, nil
  end)

  -- URIs of all entries that arrived in requests answered by 2xx, in order of arrival.
  local function uris(requests)
    local out = {}
    for _, request in ipairs(requests or logs.requests) do
      if not request.refused then
        local body = cjson.decode(request.body)
        for _, record in ipairs(body[1] and body or { body }) do
          out[#out + 1] = record.request.uri
        end
      end
    end
    return out
  end

  local function ask(n, from)
    local expected = {}
    for i = from or 1, (from or 1) + n - 1 do
      assert.status(200, client.get(gw, "/" .. i))
      expected[#expected + 1] = "/" .. i
    end
    return expected
  end

  local function wait_uris(n, limit)
    sched.wait_until(function() return #uris() >= n end, limit, function()
      return ("%d of %d entries arrived\n%s"):format(#uris(), n, gw:errors())
    end)
    return uris()
  end

  local function dropped()
    return gw:metrics()['moongate_queue_dropped_total{plugin="http-log"}'] or 0
  end

  it("posts one object for each request, with fields and credentials", function()
    start("headers: {X-Token: t}, custom_fields_by_lua: {who: \"return 'me'\"}", nil, {
      endpoint = "http://user:p%40ss@127.0.0.1:" .. logs.port .. "/in?k=v" })
    ask(1)
    local request = logs:wait_requests(1)
    assert.same({ "POST", "/in?k=v", "application/json", "t", "Basic dXNlcjpwQHNz" }, { request.method, request.target,
      request:header("content-type"), request:header("x-token"), request:header("authorization") })
    local record = cjson.decode(request.body)
    assert.same({ "/1", 200, "me" }, { record.request.uri, record.response.status, record.who })
  end)

  it("gathers batches as arrays, on one connection", function()
    start("queue: {max_batch_size: 4, max_coalescing_delay: 0.3}", logs.port)
    local expected = ask(10)
    assert.same(expected, wait_uris(10))
    assert.same(3, #logs.requests)
    assert.same("[", logs.requests[3].body:sub(1, 1))
    assert.same(1, #logs.connections)
  end)

  it("tries again after errors, each entry once", function()
    local n = 0
    logs:answer(function(request)
      n = n + 1
      request.refused = n % 3 ~= 0
      return request.refused and { status = n % 3 == 1 and 500 or 404, body = "no" } or OK
    end)
    start("queue: {max_batch_size: 2, max_coalescing_delay: 0.05}", logs.port)
    local expected = ask(7)
    assert.same(expected, wait_uris(7))
    assert.same(0, dropped())
    gw:wait_log("http%-log.*returned HTTP status code 500")
  end)

  it("outlives a server that is away, and sends all when it comes back", function()
    local port = logs.port
    logs:stop()
    start("queue: {max_retry_delay: 0.1}", port)
    local expected = ask(5)
    gw:wait_log("connection refused")
    logs = upstream.start({ port = port, answer = function() return OK end })
    assert.same(expected, wait_uris(5))
    assert.same(0, dropped())
  end)

  it("outlives a server that hangs, breaks off or closes idle connections", function()
    local how = { "hang", "break", "ok", "ok", "ok" }
    logs:on(function(c)
      local request = c:read_request()
      if not request then
        return
      end
      local what = table.remove(how, 1) or "ok"
      request.refused = what ~= "ok"
      if what == "hang" then
        c:wait_closed()
      elseif what == "break" then
        c:send("HTTP/1.1 200 OK\r\nContent-Le")
        c:reset()
      else
        c:send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") -- and closes without having said so
      end
    end)
    start("timeout: 300", logs.port)
    local expected = ask(4)
    assert.same(expected, wait_uris(4))
    assert.same(0, dropped())
    gw:wait_log("trying again in .*: timeout")
  end)

  it("gives up after max_retry_time, and counts", function()
    logs:answer(function(request)
      request.refused = true
      return { status = 503, body = "" }
    end)
    start("queue: {max_retry_time: 0.2, max_batch_size: 3, max_coalescing_delay: 0.1}", logs.port)
    gw:expect_error("3 queue entries were lost: request to .* returned HTTP status code 503")
    ask(3)
    sched.wait_until(function() return dropped() == 3 end, nil, "nothing was dropped")
  end)

  it("drops the oldest when the queue is full, and counts them", function()
    local open = false
    logs:answer(function(request)
      request.refused = not open
      return open and OK or { status = 500, body = "" }
    end)
    start("queue: {max_entries: 3, max_retry_delay: 0.1}", logs.port)
    gw:expect_error("queue full, dropping old entries until processing is successful again")
    ask(1)
    logs:wait_requests(1)
    ask(7, 2)
    open = true
    assert.same({ "/1", "/6", "/7", "/8" }, wait_uris(4))
    assert.same(4, dropped())
    gw:wait_log("4 entries were dropped")
  end)

  it("sends what it holds when the worker ends", function()
    start("queue: {max_batch_size: 100, max_coalescing_delay: 600}", logs.port)
    local expected = ask(5)
    assert.same({}, uris())
    -- One waits for the batch to fill, the other for the worker's end.
    local running, pending
    for name, value in pairs(gw:metrics()) do
      running = name:find('^kong_nginx_timers.*"running"') and value or running
      pending = name:find('^kong_nginx_timers.*"pending"') and value or pending
    end
    assert.same({ 1, 1 }, { running, pending })
    gw:signal("TERM")
    logs:wait_requests(1)
    assert.same(expected, uris())
  end)

  it("goes on over reloads, and when a server fails under load of two workers, each entry once", function()
    local n = 0
    logs:answer(function(request)
      n = n + 1
      request.refused = n % 4 == 1
      return request.refused and { status = 500, body = "" } or OK
    end)
    start("queue: {max_batch_size: 5, max_coalescing_delay: 0.05, max_retry_delay: 0.05}", logs.port, { workers = 2 })
    local expected = ask(20)
    gw:reload(nil, "configuration reloaded")
    for _, uri in ipairs(ask(20, 21)) do
      expected[#expected + 1] = uri
    end
    local got = wait_uris(40)
    table.sort(got)
    table.sort(expected)
    assert.same(expected, got)
    assert.same(0, dropped())
  end)

  it("tells at the worker's end what is lost", function()
    logs:answer(function(request)
      request.refused = true
      return { status = 500, body = "" }
    end)
    start("queue: {max_retry_delay: 0.1}", logs.port)
    gw:expect_error("queue entries? were lost")
    ask(2)
    logs:wait_requests(1)
    gw:signal("TERM")
    gw:wait_log("1 queue entries were lost")
  end)

  it("speaks TLS and verifies, unless told not to", function()
    logs:stop()
    logs = upstream.start({ tls = true, answer = function() return OK end })
    local endpoint = "https://127.0.0.1:" .. logs.port .. "/in"
    -- Reading the system's certificates, once for each worker, takes long under sanitizers.
    start("queue: {max_retry_time: 0.1}", nil, { endpoint = endpoint, settings = { plugin_budget = "1s" } })
    gw:expect_error("queue entries were lost: 127.0.0.1:%d+: 20: unable to get local issuer certificate")
    ask(1)
    sched.wait_until(function() return dropped() == 1 end, nil, function() return gw:errors() end)
    site.stop(gw, up)
    start("ssl_verify: false", nil, { endpoint = endpoint, settings = { plugin_budget = "1s" } })
    assert.same(ask(2), wait_uris(2))
  end)
end)
