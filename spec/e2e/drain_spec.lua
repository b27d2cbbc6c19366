-- The end of an instance: a rollout under streams and requests, the sequence after SIGTERM, what cannot hold it up.

require("e2e.support.expect")
local ai = require("e2e.ai.support")
local client = require("e2e.support.client")
local conn = require("e2e.support.conn")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local upstream = require("e2e.support.upstream")

local SSE = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
local GET = "GET %s HTTP/1.1\r\nHost: gateway.test\r\n\r\n"

local function chunk(text)
  return ("%x\r\n%s\r\n"):format(#text, text)
end

-- /stream: `n` events, one each `pause` seconds, then [DONE]; everything else: echo.
local function serve_streams(n, pause)
  return function(c)
    while true do
      local request = c:read_request()
      if not request then
        return
      elseif request.target ~= "/stream" then
        c:send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      else
        c:send(SSE)
        for i = 1, n do
          sched.sleep(pause)
          if not c:send(chunk("data: " .. i .. "\n\n")) then
            return
          end
        end
        c:send(chunk("data: [DONE]\n\n") .. "0\r\n\r\n")
        return
      end
    end
  end
end

local function open_stream(to, path)
  local c = client.connect(to)
  c:write({ path = path or "/stream" })
  return c, c:answer({ head_only = true })
end

-- The rest of a stream: its text, and whether it ended as a body should.
local function rest_of(c, response)
  local ok = pcall(response.finish, response)
  local parts = {}
  for i, piece in ipairs(response.pieces) do
    parts[i] = piece.data
  end
  c:close()
  return table.concat(parts), ok
end

-- How long a stop takes: drain_timeout, lingering_time (2 s, clients that do not close), and little more.
local function timed_stop(gw, opts)
  local from = sched.now()
  gw:stop(opts)
  return (sched.now() - from) / sched.slow
end

describe("a rollout", function()
  it("cuts no stream and fails no request", function()
    local STREAMS = 50
    local up = upstream.start({ script = serve_streams(10, 0.3) })
    local port = upstream.refused_port()
    local function instance()
      return gateway.start({ wait = false, workers = 2, config = site.config(up.url), settings = {
        drain_delay = "500ms", proxy_listen = ("127.0.0.1:%d reuseport"):format(port) } })
    end
    local to, old = { host = "127.0.0.1", port = port }, instance()
    old:wait_log("serving")
    local streams, whole, counts = {}, 0, { answers = 0, told = 0 }
    for i = 1, STREAMS do
      local c, response = open_stream(to)
      streams[i] = sched.spawn(function()
        local text, ok = rest_of(c, response)
        if ok and text:find("data: 10\n\ndata: [DONE]\n\n", 1, true) then
          whole = whole + 1
        end
      end)
    end
    -- Keep-alive clients, who come again when they are told to close.
    local over, askers = false, {}
    for i = 1, 4 do
      askers[i] = sched.spawn(function()
        local c = client.connect(to)
        while not over do
          local response = c:request({ path = "/" })
          assert.status(200, response)
          counts.answers = counts.answers + 1
          if response:header("connection") == "close" then
            counts.told = counts.told + 1
            c:close()
            c = client.connect(to)
          end
          sched.sleep(0.005)
        end
        c:close()
      end)
    end
    sched.sleep(0.3)
    local new = instance()
    new:wait_log("serving")
    old:signal("TERM")
    for _, task in ipairs(streams) do
      task:join(30 * sched.slow)
    end
    over = true
    for _, task in ipairs(askers) do
      task:join()
    end
    assert.same(STREAMS, whole)
    assert.truthy(counts.answers > 100, counts.answers)
    assert.truthy(counts.told > 0)
    old:stop()
    new:stop()
    up:stop()
  end)
end)

describe("after SIGTERM", function()
  local up

  before_each(function()
    up = upstream.start()
  end)

  after_each(function()
    up:stop()
  end)

  local function start(settings, more)
    return gateway.start({ config = site.config(up.url, { more = more }), settings = settings })
  end

  it("readiness is off at once, and every answer is a connection's last", function()
    local gw = start({ drain_delay = "1s" })
    local kept, pipelined = client.connect(gw), client.connect(gw)
    assert.is_nil(kept:request({ path = "/1" }):header("connection"))
    up:on(function(c)
      while c:read_request() do
        sched.sleep(0.3)
        c:send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
      end
    end)
    pipelined:send(GET:format("/a") .. GET:format("/b"))
    up:wait_requests(2)
    gw:signal("TERM")
    local from = sched.now()
    sched.wait_until(function()
      return client.get(gw:status(), "/status/ready").status == 503
    end)
    assert.truthy(sched.now() - from < 0.1 * sched.slow)
    assert.status(200, client.get(gw:status(), "/status"))
    local bytes, ended = pipelined:read_all()
    assert.same("closed", ended)
    assert.same(1, select(2, bytes:gsub("HTTP/1.1 200 OK", "")))
    assert.truthy(bytes:find("Connection: close", 1, true))
    assert.same("close", kept:request({ path = "/2" }):header("connection"))
    assert.same("close", client.get(gw, "/3"):header("connection"))
    pipelined:close()
    kept:close()
    gw:stop()
  end)

  it("a stream longer than drain_timeout is told so, ends cleanly, and its usage is booked", function()
    up:on(function(c)
      c:read_request()
      c:send(SSE .. chunk(ai.ROLE .. ai.chunk("[]", ai.USAGE)))
      pcall(c.wait_closed, c, 20)
    end)
    local gw = gateway.start({ config = ai.yaml(up.url, { chat = {} }), settings = { drain_timeout = "500ms" } })
    local c, response = ai.open_stream(gw, "chat")
    response:next_event()
    local text, whole
    local reader = sched.spawn(function()
      text, whole = rest_of(c, response)
    end)
    gw:signal("TERM")
    reader:join()
    assert.is_true(whole)
    assert.truthy(text:find('data: {"error":{"type":"gateway_shutdown","code":"stream_interrupted"', 1, true), text)
    assert.truthy(text:find('"retryable":true}}\n\n$'), text)
    local log = ai.logged(gw, response)
    assert.same({ 200, 13 }, { log.response.status, log.ai.proxy.usage.total_tokens })
    assert.truthy(timed_stop(gw) < 3)
  end)

  it("any event stream is told, and another response is broken off", function()
    up:on(function(c)
      local stream = c:read_request().target == "/stream"
      c:send(stream and SSE .. chunk("data: a\n\n") or "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
      pcall(c.wait_closed, c, 20)
    end)
    local gw = start({ drain_timeout = "300ms" })
    local stream, head = open_stream(gw)
    local plain = client.connect(gw)
    plain:send(GET:format("/plain"))
    assert.truthy(plain:read_through("12345"))
    gw:signal("TERM")
    local text, whole = rest_of(stream, head)
    assert.is_true(whole)
    assert.truthy(text:find("^data: a\n\ndata: {\"error\":{\"type\":\"gateway_shutdown\""), text)
    assert.same("", (plain:read_all()))
    plain:close()
    gw:stop()
  end)

  it("a client that never reads holds nothing up", function()
    up:on(function(c)
      c:read_request()
      c:send(SSE)
      while c:send(chunk(("data: " .. ("x"):rep(60000) .. "\n\n")), 1) do end
    end)
    local gw = start({ drain_timeout = "400ms" })
    local c = conn.connect(gw.host, gw.port)
    c:send(GET:format("/stream"))
    up:wait_requests(1)
    sched.sleep(0.3)
    assert.truthy(timed_stop(gw) < 3)
    c:close()
  end)

  it("an upstream that never answers holds nothing up", function()
    local hole = upstream.blackhole()
    local gw = gateway.start({ config = site.config("http://127.0.0.1:" .. hole.port),
      settings = { drain_timeout = "400ms" } })
    local c = client.connect(gw)
    c:send(GET:format("/"))
    sched.sleep(0.1)
    assert.truthy(timed_stop(gw) < 3)
    assert.truthy(c:read_all():find("^HTTP/1.1 503 .*the gateway is shutting down"))
    c:close()
    hole:stop()
  end)

  for name, code in pairs({ spins = "while true do end", sleeps = "ngx.sleep(60)" }) do
    it("a plugin that " .. name .. " holds nothing up", function()
      local gw = gateway.start({
        config = {
          ["kong.yaml"] = site.config(up.url, { more = "plugins:\n- name: stuck\n" }),
          ["plugins/stuck/schema.lua"] = 'return { name = "stuck", fields = {} }',
          ["plugins/stuck/handler.lua"] = 'return { PRIORITY = 1, VERSION = "1.0.0", access = function() '
            .. 'kong.log.notice("stuck") ' .. code .. " end }",
        },
        settings = { drain_timeout = "400ms", plugin_budget = "60s", worker_hang = "600ms" },
      })
      gw:expect_error("worker") -- one that spins is killed
      local c = client.connect(gw)
      c:send(GET:format("/"))
      gw:wait_log("stuck")
      assert.truthy(timed_stop(gw) < 4)
      c:close()
    end)
  end

  it("it ends in the midst of a reload", function()
    local gw = start()
    gw:write_config({ ["kong.yaml"] = site.config(up.url, { route = "tags: [again]" }) })
    gw:signal("HUP")
    gw:signal("TERM")
    assert.truthy(timed_stop(gw) < 3)
  end)

  it("it ends in the midst of its start", function()
    for _, pause in ipairs({ 0.002, 0.01, 0.03 }) do
      local gw = gateway.start({ wait = false, config = site.config(up.url) })
      sched.wait_until(function()
        return #gw:errors() > 0 or not gw.process:alive()
      end)
      sched.sleep(pause)
      assert.truthy(timed_stop(gw) < 3)
    end
  end)
end)
