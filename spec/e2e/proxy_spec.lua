-- Between the gateway and an upstream: what is passed on, what is taken away, and every way an upstream
-- or a client can fail on the other's time.

require("e2e.support.expect")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local upstream = require("e2e.support.upstream")

describe("a request passed on", function()
  local gw, up

  setup(function()
    gw, up = site.start()
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  before_each(function()
    up:answer(nil)
  end)

  it("keeps method, query, body and end-to-end fields", function()
    local response = client.request({
      to = gw,
      method = "PATCH",
      path = "/a/b?c=d&e=%20f",
      headers = { ["X-One"] = { "1", "2" }, Accept = "*/*", Cookie = "a=b" },
      body = "payload",
    })
    local seen = response:json()
    assert.same("PATCH", seen.method)
    assert.same("/a/b?c=d&e=%20f", seen.target)
    assert.same("payload", seen.body)
    assert.same("1, 2", seen.headers["x-one"])
    assert.same("a=b", seen.headers.cookie)
    assert.same("*/*", seen.headers.accept)
  end)

  it("loses what belongs to one connection, and what Connection nominates", function()
    local seen = client.request({
      to = gw,
      headers = {
        { "Connection", "keep-alive, X-Mine, Host, Authorization" },
        { "X-Mine", "secret" },
        { "Keep-Alive", "timeout=5" },
        { "Proxy-Connection", "keep-alive" },
        { "Proxy-Authorization", "Basic eDp5" },
        { "TE", "gzip" },
        { "Upgrade", "h2c" },
        { "Authorization", "Bearer kept" },
      },
    }):json().headers
    for _, name in ipairs({ "x-mine", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade" }) do
      assert.is_nil(seen[name], name)
    end
    assert.same("Bearer kept", seen.authorization)
    assert.truthy(seen.host)
  end)

  it("loses names with an underscore, which would alias others", function()
    local seen = client.get(gw, "/", { X_Forwarded_For = "6.6.6.6" }):json().headers
    assert.is_nil(seen["x_forwarded_for"])
  end)

  it("says who forwarded it, whatever an untrusted client claims", function()
    local seen = client.get(gw, "/a", {
      ["X-Forwarded-For"] = "6.6.6.6",
      ["X-Forwarded-Proto"] = "https",
      ["X-Forwarded-Host"] = "evil.test",
      ["X-Forwarded-Port"] = "666",
      ["X-Real-IP"] = "6.6.6.6",
    }):json().headers
    assert.same("6.6.6.6, 127.0.0.1", seen["x-forwarded-for"])
    assert.same("http", seen["x-forwarded-proto"])
    assert.same("gateway.test", seen["x-forwarded-host"])
    assert.same(tostring(gw.port), seen["x-forwarded-port"])
    assert.same("127.0.0.1", seen["x-real-ip"])
    assert.truthy(seen.via)
  end)

  it("goes to the upstream's Host unless preserve_host says otherwise", function()
    assert.same("127.0.0.1:" .. up.port, client.get(gw, "/"):json().headers.host)
  end)

  it("carries the id that the client and the access log see", function()
    local response = client.get(gw, "/logged")
    local id = response:json().headers["x-kong-request-id"]
    assert.truthy(id and id:find("^%x+$") and #id == 32)
    assert.header(id, response, "x-kong-request-id")
    local entry = gw:wait_access(function(e)
      return e.request and e.request.id == id
    end)
    assert.same(200, entry.response.status)
  end)
end)

describe("a response passed back", function()
  local gw, up

  setup(function()
    gw, up = site.start()
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("loses what belongs to one connection, and what Connection nominates", function()
    up:answer({
      headers = {
        { "Connection", "X-Int" },
        { "X-Int", "internal" },
        { "Keep-Alive", "timeout=5" },
        { "Proxy-Authenticate", "Basic" },
        { "X-Kept", "yes" },
        { "Set-Cookie", "a=1" },
        { "Set-Cookie", "b=2" },
        { "Server", "app/1" },
      },
      body = "x",
    })
    local response = client.get(gw, "/")
    assert.header(nil, response, "x-int")
    assert.header(nil, response, "keep-alive")
    assert.header(nil, response, "proxy-authenticate")
    assert.header("yes", response, "x-kept")
    assert.header("app/1", response, "server")
    assert.same({ "a=1", "b=2" }, response:all("set-cookie"))
    assert.truthy(response:header("via"))
    assert.truthy(response:header("x-kong-upstream-latency"))
    assert.truthy(response:header("x-kong-proxy-latency"))
  end)

  it("names this gateway's id and times, not those of a gateway behind it", function()
    up:answer({
      headers = {
        { "X-Kong-Request-Id", ("0"):rep(32) },
        { "X-Kong-Upstream-Latency", "77777" },
        { "X-Kong-Proxy-Latency", "77777" },
        { "X-Kong-Response-Latency", "5" },
      },
      body = "x",
    })
    local response = client.get(gw, "/")
    assert.header(up:last():header("x-kong-request-id"), response, "x-kong-request-id")
    assert.truthy(tonumber(response:header("x-kong-upstream-latency")) < 77777)
    assert.truthy(tonumber(response:header("x-kong-proxy-latency")) < 77777)
    assert.header("5", response, "x-kong-response-latency")
  end)

  it("has a few interim responses before it, none of them passed on unasked but tolerated", function()
    up:send_raw(("HTTP/1.1 100 Continue\r\n\r\n"):rep(3) .. "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    local response = client.get(gw, "/")
    assert.status(200, response)
    assert.same("ok", response.body)
  end)

  it("may come before the request's body is complete", function()
    up:on(function(c)
      c:read_request({ head_only = true })
      c:send("HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
      c:half_close()
      c:wait_closed(10)
    end)
    local c = client.connect(gw)
    c:send("POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 1000\r\n\r\nabc")
    local response = c:read_response()
    assert.status(403, response)
    c:close()
  end)
end)

local OK = "HTTP/1.1 200 OK\r\n"
local EVENTS = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

-- name, bytes the upstream sends, how it ends, status the client gets
local BROKEN = {
  { "closes without a word", "", "close", 502 },
  { "resets without a word", "", "reset", 502 },
  { "sends half a head", "HTTP/1.1 200 OK\r\nContent-Le", "close", 502 },
  { "sends junk", "\0\1\2\3 nonsense\r\n\r\n", "close", 502 },
  { "speaks HTTP/0.9", "<html>hello</html>", "close", 502 },
  { "sends a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", "open", 502 },
  { "sends a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", "open", 502 },
  { "sends a status below 100", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", "open", 502 },
  { "speaks HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "open", 502 },
  { "sends two lengths", OK .. "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "open", 502 },
  { "sends a bad length", OK .. "Content-Length: 1x\r\n\r\na", "open", 502 },
  { "sends a length and chunks", OK .. "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "open", 502 },
  { "sends an unknown coding", OK .. "Transfer-Encoding: gzip\r\n\r\nx", "open", 502 },
  { "sends a folded line", OK .. "X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n", "open", 502 },
  { "sends a NUL in a value", OK .. "X-A: b\0c\r\nContent-Length: 0\r\n\r\n", "open", 502 },
  { "sends a line without a colon", OK .. "X-A\r\nContent-Length: 0\r\n\r\n", "open", 502 },
  { "sends a bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "open", 502 },
  { "switches protocols unasked", "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\njunk", "open", 502 },
  { "sends 2000 interim responses", ("HTTP/1.1 100 Continue\r\n\r\n"):rep(2000) .. OK .. "\r\n", "close", 502 },
  { "sends a head without end", OK .. ("X-A: " .. ("b"):rep(1000) .. "\r\n"):rep(200), "open", 502 },
}

-- name, bytes, how, bytes a moment later: the head is good, so the client's connection must not end well.
local CUT = {
  { "cuts a body of known length", OK .. "Content-Length: 100\r\n\r\nshort", "close" },
  { "resets within a body", OK .. "Content-Length: 100\r\n\r\nshort", "reset" },
  { "cuts a chunk", OK .. "Transfer-Encoding: chunked\r\n\r\n64\r\nshort", "close" },
  { "cuts between chunks", OK .. "Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", "close" },
  { "cuts an event stream", OK .. EVENTS .. "8\r\ndata: a\n\r\n40\r\ndata: cut", "close" },
  { "sends a bad chunk size", OK .. "Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", "open", "zz\r\n" },
}

describe("an upstream that", function()
  local gw, up

  setup(function()
    gw, up = site.start({ service = "read_timeout: 400\nconnect_timeout: 400\nwrite_timeout: 400" })
    gw:expect_error("upstream")
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  for _, case in ipairs(BROKEN) do
    it(case[1] .. " gives a clean " .. case[4], function()
      up:send_raw(case[2], case[3])
      local c = client.connect(gw)
      local response = c:request({})
      assert.gateway_error(case[4], response)
      up:answer(nil)
      assert.status(200, c:request({})) -- nothing of it is left for the next one
      c:close()
    end)
  end

  for _, case in ipairs(CUT) do
    it(case[1] .. " aborts the client's response", function()
      up:send_raw(case[2], case[3], case[4])
      local c = client.connect(gw)
      c:write({})
      local response = c:answer({ head_only = true })
      assert.status(200, response)
      local ok, err = pcall(response.finish, response)
      assert.is_false(ok)
      assert.is_nil(err:find("timeout", 1, true), err)
      c:close()
    end)
  end

  it("sends more than it announced is cut off there", function()
    up:send_raw(OK .. "Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "open")
    local c = client.connect(gw)
    assert.same("ok", c:request({}).body)
    up:answer(nil)
    assert.same("/next", c:request({ path = "/next" }):json().target)
    c:close()
  end)

  it("answers HEAD with a body does not confuse the next response", function()
    up:send_raw(OK .. "Content-Length: 4\r\n\r\nevil", "open")
    local c = client.connect(gw)
    assert.same("", c:request({ method = "HEAD" }).body)
    up:answer(nil)
    assert.same("/next", c:request({ path = "/next" }):json().target)
    c:close()
  end)

  it("says nothing gives 504, and its connection is closed", function()
    local ended
    up:on(function(c)
      c:read_request()
      ended = c:wait_closed()
    end)
    local from = sched.now()
    assert.gateway_error(504, client.get(gw, "/"))
    assert.truthy(sched.now() - from >= 0.35)
    sched.wait_until(function()
      return ended
    end, 0.5 * sched.slow)
  end)

  it("closes an idle connection as we send is tried once more", function()
    up:answer(nil)
    assert.status(200, client.get(gw, "/"))
    local served = 0
    up:on(function(c)
      while c:read_request() do
        served = served + 1
        c:send(OK .. "Content-Length: 0\r\n\r\n")
        if served == 1 then
          return -- the pooled connection dies
        end
      end
    end)
    local c = client.connect(gw)
    for _ = 1, 4 do
      assert.status(200, c:request({}))
    end
    c:close()
  end)

  it("is not there gives 502 at once", function()
    local lost = site.start({ url = "http://127.0.0.1:" .. upstream.refused_port() })
    lost:expect_error("upstream")
    assert.gateway_error(502, client.get(lost, "/"))
    lost:stop()
  end)

  it("never accepts gives 504", function()
    local hole = upstream.blackhole()
    local lost = site.start({ url = "http://127.0.0.1:" .. hole.port, service = "connect_timeout: 300" })
    lost:expect_error("upstream")
    assert.gateway_error(504, client.get(lost, "/"))
    lost:stop()
    hole:stop()
  end)
end)

describe("a client that goes away", function()
  local gw, up
  local gone_at

  setup(function()
    gw, up = site.start()
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  -- The upstream reads the head, sends `bytes`, and notes when its connection ended.
  local function watch(bytes)
    gone_at = nil
    up:on(function(c)
      c:read_request({ head_only = true })
      c:send(bytes)
      gone_at = select(2, c:wait_closed(20))
    end)
  end

  local function leaves_in_time(c, how, path)
    local left_at = sched.now()
    c[how](c)
    sched.wait_until(function()
      return gone_at
    end, nil, "the upstream's connection is still open")
    assert.truthy(gone_at - left_at < 0.1 * sched.slow, ("took %.0f ms"):format((gone_at - left_at) * 1000))
    local entry = gw:wait_access(function(e)
      return e.request and e.request.uri and e.request.uri:find(path, 1, true)
    end)
    assert.same(499, entry.response.status)
  end

  for _, how in ipairs({ "close", "reset" }) do
    it("before the first byte, by " .. how .. ", takes the upstream's connection with it", function()
      watch("")
      local c = client.connect(gw)
      local before = #up.requests
      local path = "/waiting-" .. how
      c:write({ path = path })
      up:wait_requests(before + 1)
      leaves_in_time(c, how, path)
    end)

    it("within a stream, by " .. how .. ", takes the upstream's connection with it", function()
      watch(OK .. EVENTS .. "9\r\ndata: a\n\n\r\n")
      local c = client.connect(gw)
      local path = "/streaming-" .. how
      c:write({ path = path })
      local response = c:answer({ head_only = true })
      assert.same("a", response:next_event().data)
      leaves_in_time(c, how, path)
    end)

    it("within its own body, by " .. how .. ", takes the upstream's connection with it", function()
      watch("")
      local c = client.connect(gw)
      local before = #up.requests
      local path = "/sending-" .. how
      c:send("POST " .. path .. " HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 100000\r\n\r\n" .. ("x"):rep(70000))
      local connected = pcall(up.wait_requests, up, before + 1, 0.5 * sched.slow)
      if connected then
        leaves_in_time(c, how, path)
      else
        c[how](c) -- the body is gathered first: nothing may have reached the upstream, then or later
        gw:wait_access(function(e)
          return e.request and e.request.uri and e.request.uri:find(path, 1, true)
        end)
        assert.same(before, #up.requests)
      end
    end)
  end

  it("is logged once", function()
    local n = 0
    for _, entry in ipairs(gw:access_log()) do
      n = n + (entry.request.uri:find("/waiting-close", 1, true) and 1 or 0)
    end
    assert.same(1, n)
  end)
end)

describe("a client that reads slowly", function()
  local gw, up

  setup(function()
    gw, up = site.start()
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("holds the upstream back, and gets everything in the end", function()
    local total, sent = 32 * 1024 * 1024, 0
    local block = ("x"):rep(65536)
    up:on(function(c)
      c:read_request()
      c:send(OK .. "Content-Length: " .. total .. "\r\n\r\n")
      while sent < total do
        if not c:send(block, 20 * sched.slow) then
          return
        end
        sent = sent + #block
      end
    end)
    local c = client.connect(gw)
    c:write({})
    local response = c:answer({ head_only = true })
    local before
    repeat -- until the sender stands still
      before = sent
      sched.sleep(0.2 * sched.slow)
    until sent == before and sent > 0
    assert.truthy(sent < 24 * 1024 * 1024, "the gateway took " .. sent .. " bytes for a client that does not read")
    local got = 0
    local data = response:next()
    while data do
      got = got + #data
      data = response:next()
    end
    assert.same(total, got)
    c:close()
  end)
end)
