-- WebSockets through the gateway: the upgrade, the tunnel after it, and every way in which it ends. Bytes only: what a frame holds
-- is for the ends to know.

require("e2e.support.expect")
local certs = require("e2e.support.certs")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")

local ASK = "GET %s HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
  .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\n%s\r\n%s"
local SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
  .. "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Own: yes\r\n\r\n"
local RESTART = "\136\2\3\244" -- a close frame, 1012

local function ms(n)
  return math.floor(n * sched.slow) .. "ms"
end

-- Sends the upgrade request: the connection.
local function ask(to, path, opts)
  opts = opts or {}
  local c = client.connect(to, { tls = opts.tls, rcvbuf = opts.rcvbuf })
  c:send(ASK:format(path, opts.fields or "", opts.bytes or ""))
  return c
end

-- The same, with the upgrade done: the connection, its head.
local function open(to, path, opts)
  local c = ask(to, path, opts)
  local head = c:read_head()
  assert.status(101, head)
  return c, head
end

-- What an upstream does after its 101, by path; the end of the function closes the connection.
local AFTER = {}

function AFTER.echo(c)
  while c:fill(60) do
    c:send(c:take(#c.buffer))
  end
end

-- Sends the connection to the spec.
function AFTER.hold(c, up)
  up.held = c
  sched.wait_until(function()
    return c.released or c.ended
  end, 60)
end

-- Much, then the end.
function AFTER.much(c)
  c:send(("y"):rep(3000000))
end

-- As much as anybody takes while the client does not read.
function AFTER.push(c, up)
  local piece, sent = ("p"):rep(65536), 0
  repeat
    local n, err, partial = c.sock:send(piece)
    sent = sent + (n or partial)
  until sent > 200000000 or (err == "timeout" and not sched.writable(c.sock, 0.2))
  up.pushed = sent
end

function AFTER.count(c)
  local n = 0
  while n < 3000000 do
    sched.sleep(0.002) -- slower than who sends
    assert(c:fill(60))
    n = n + #c:take(#c.buffer)
  end
  c:send("got " .. n)
end

local function serve(c, up)
  while true do
    local request = c:read_request()
    if not request then
      return
    end
    local name = request.target:match("^/(%w+)")
    if name == "refuse" then
      c:send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    elseif name == "unasked" or request:header("upgrade") == "websocket" then
      if name == "other" then
        c:send((SWITCH:gsub("WebSocket\r", "h2c\r")))
      else
        c:send(SWITCH .. (name == "early" and "early|" or ""))
      end
      return (AFTER[name] or AFTER.echo)(c, up)
    else
      c:send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
    end
  end
end

local KEY_AUTH = [[
routes:
- {name: secret, service: app, paths: [/secret], strip_path: false}
plugins:
- name: key-auth
  route: secret
- name: response-transformer
  route: secret
  config: {add: {headers: ["X-Added:yes"]}}
consumers:
- username: jo
  keyauth_credentials: [{key: k1}]
]]

local function logged(gw, path)
  return gw:wait_access(function(entry)
    return entry.request.uri == path
  end)
end

local function times_logged(gw, path)
  local n = 0
  for _, entry in ipairs(gw:access_log()) do
    n = n + (entry.request.uri == path and 1 or 0)
  end
  return n
end

local function held(up)
  local c = sched.wait_until(function()
    return up.held
  end)
  up.held = nil
  return c
end

describe("a WebSocket", function()
  local gw, up

  setup(function()
    gw, up = site.start({
      tls = true,
      upstream = { script = serve },
      more = KEY_AUTH,
    })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("is asked for upstream, and the answer is the client's", function()
    local c, head = open(gw, "/echo/ask")
    local asked = up:last()
    assert.same("Upgrade", asked:header("connection"))
    assert.same("websocket", asked:header("upgrade"))
    assert.same("dGhlIHNhbXBsZSBub25jZQ==", asked:header("sec-websocket-key"))
    assert.same("13", asked:header("sec-websocket-version"))
    assert.same("chat", asked:header("sec-websocket-protocol"))
    assert.same("Upgrade", head:header("connection"))
    assert.same("websocket", head:header("upgrade"))
    assert.same("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", head:header("sec-websocket-accept"))
    assert.same("yes", head:header("x-own"))
    assert.is_nil(head:header("content-length") or head:header("transfer-encoding"))
    c:close()
  end)

  it("carries bytes both ways, and is logged once at its end", function()
    local c = open(gw, "/echo/log")
    for i = 1, 20 do
      c:send("ping" .. i)
      assert.same("ping" .. i, c:read(#("ping" .. i)))
    end
    assert.same(0, times_logged(gw, "/echo/log"))
    c:close()
    local entry = logged(gw, "/echo/log")
    assert.same(101, entry.response.status)
    assert.truthy(entry.response.size > 111 and entry.response.size < 1111, entry.response.size)
    assert.truthy(entry.request.size > 111)
    assert.same(1, times_logged(gw, "/echo/log"))
  end)

  it("has the bytes that came with the request, and with the 101", function()
    local c = open(gw, "/early/1", { bytes = "sent ahead" })
    assert.same("early|sent ahead", c:read(16))
    c:send("|more")
    assert.same("|more", c:read(5))
    c:close()
    logged(gw, "/early/1")
  end)

  it("carries much to a client that reads slowly, to the last byte before the upstream's end", function()
    local c = open(gw, "/much/1")
    sched.sleep(0.2)
    local bytes, ended = c:read_all()
    assert.same(3000000, #bytes)
    assert.same("closed", ended)
    c:close()
    assert.truthy(logged(gw, "/much/1").response.size > 3000000)
  end)

  it("holds back an upstream whose client does not read, and loses nothing", function()
    local c = open(gw, "/push/1")
    local pushed = sched.wait_until(function()
      return up.pushed
    end)
    assert.truthy(pushed < 200000000, pushed)
    assert.same(pushed, #c:read_all(20))
    c:close()
    assert.truthy(logged(gw, "/push/1").response.size > pushed)
  end)

  it("carries much to an upstream that reads slowly", function()
    local c = open(gw, "/count/1")
    c:send(("x"):rep(3000000))
    assert.same("got 3000000", c:read(11))
    c:close()
    assert.truthy(logged(gw, "/count/1").request.size > 3000000)
  end)

  it("delivers what a client sent before its end", function()
    local c = open(gw, "/hold/end")
    local u = held(up)
    c:send(("z"):rep(500000))
    c:close()
    assert.same(500000, #u:read_all())
    assert.same(101, logged(gw, "/hold/end").response.status)
  end)

  it("closes the upstream within 100 ms when its client vanishes, read or not", function()
    for _, how in ipairs({ "close", "reset" }) do
      local c = open(gw, "/hold/" .. how)
      local u = held(up)
      local from = sched.now()
      c[how](c)
      u:wait_closed()
      assert.truthy(u.ended_at - from < 0.1 * sched.slow, u.ended_at - from)
      assert.same(101, logged(gw, "/hold/" .. how).response.status)
    end
    local c = open(gw, "/hold/stuck")
    local u = held(up)
    local piece, sent = ("x"):rep(65536), 0
    repeat -- until nobody takes more
      local n, err, partial = c.sock:send(piece)
      sent = sent + (n or partial)
    until err == "timeout" and not sched.writable(c.sock, 0.2)
    local from = sched.now()
    c:reset()
    sched.sleep(0.1 * sched.slow)
    u:wait_closed() -- had it not been closed, it would have had more to read
    assert.truthy(u.received < sent, u.received)
    assert.truthy(u.ended_at - from < 0.25 * sched.slow, u.ended_at - from)
    assert.same(101, logged(gw, "/hold/stuck").response.status)
    u.released = true
  end)

  it("closes the client when the upstream ends or breaks off", function()
    for _, how in ipairs({ "close", "reset" }) do
      local c = open(gw, "/hold/up" .. how)
      local u = held(up)
      u:send("last")
      assert.same("last", c:read(4))
      u[how](u)
      u.released = true
      c:wait_closed()
      c:close()
      assert.same(101, logged(gw, "/hold/up" .. how).response.status)
    end
  end)

  it("that is refused is an ordinary response on a connection that goes on", function()
    local c = ask(gw, "/refuse/1")
    local answer = c:read_response()
    assert.status(403, answer)
    assert.same("no", answer.body)
    assert.same("plain", c:request({ path = "/" }).body)
    c:close()
  end)

  it("is asked for only by a GET of HTTP/1.1 that names it in Connection", function()
    local asks = {
      "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
      "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n",
    }
    for _, bytes in ipairs(asks) do
      local first = client.raw(gw, bytes, { count = 1 }).first
      assert.status(200, first)
      assert.same("plain", first.body)
      assert.is_nil(up:last():header("upgrade"))
      assert.same("keep-alive", up:last():header("connection"))
    end
  end)

  it("that nobody asked for, or another protocol, is a 502", function()
    gw:expect_error("a 101 that nobody asked for")
    gw:expect_error("a 101 to another protocol than the one asked for")
    assert.status(502, client.get(gw, "/unasked/1"))
    local c = ask(gw, "/other/1")
    assert.status(502, c:read_response())
    c:close()
  end)

  it("is opened behind key-auth, and plugins add to its head", function()
    local c = ask(gw, "/secret/1")
    assert.status(401, c:read_response())
    c:close()
    local head
    c, head = open(gw, "/secret/2", { fields = "apikey: k1\r\n" })
    assert.same("yes", head:header("x-added"))
    c:send("hello")
    assert.same("hello", c:read(5))
    c:close()
    assert.same("jo", logged(gw, "/secret/2").consumer.username)
  end)

  it("takes connections that are used for nothing else afterwards", function()
    assert.same("plain", client.get(gw, "/").body)
    local before = #up.connections
    local c = open(gw, "/echo/kept")
    c:close()
    logged(gw, "/echo/kept")
    assert.same("plain", client.get(gw, "/").body)
    assert.same(before + 1, #up.connections) -- the upgrade took the kept one
  end)

  it("goes over TLS", function()
    local c = open({ host = gw.host, port = gw.tls_port }, "/early/tls", { tls = { cafile = certs.ca() }, bytes = "ahead" })
    assert.same("early|ahead", c:read(11))
    local big = ("t"):rep(300000)
    local sender = sched.spawn(function()
      c:send(big)
    end)
    assert.same(big, c:read(#big))
    sender:join()
    c:close()
    assert.same(101, logged(gw, "/early/tls").response.status)
  end)
end)

describe("a WebSocket to an upstream over TLS", function()
  it("is carried both ways, to the last byte", function()
    local gw, up = site.start({ tls = true, upstream = { script = serve, tls = true }, service = "tls_verify: false" })
    local c = open({ host = gw.host, port = gw.tls_port }, "/echo/1", { tls = { cafile = certs.ca() }, bytes = "ahead" })
    assert.same("ahead", c:read(5))
    c:close()
    c = open(gw, "/much/1")
    assert.same(3000000, #c:read_all())
    c:close()
    site.stop(gw, up)
  end)
end)

describe("a WebSocket that may not go on", function()
  local function start(opts)
    opts.upstream = { script = serve }
    return site.start(opts)
  end

  it("ends when nothing came for read_timeout, and not while something comes", function()
    local gw, up = start({ service = "read_timeout: " .. math.floor(300 * sched.slow) })
    local c = open(gw, "/echo/idle")
    for _ = 1, 5 do
      sched.sleep(0.1 * sched.slow)
      c:send("x")
      assert.same("x", c:read(1))
    end
    local from = sched.now()
    c:wait_closed()
    assert.truthy(sched.now() - from > 0.2 * sched.slow)
    c:close()
    gw:wait_log("nothing came through a tunnel for too long")
    assert.same(101, logged(gw, "/echo/idle").response.status)
    site.stop(gw, up)
  end)

  it("ends when the upstream takes nothing for write_timeout", function()
    local gw, up = start({ service = "write_timeout: " .. math.floor(300 * sched.slow) })
    local c = open(gw, "/hold/1")
    local u = held(up)
    local much, from = ("x"):rep(1000000), sched.now()
    repeat -- more than kernels hold; what comes after the end is dropped for a while
      local ok = c:send(much)
    until not ok or sched.now() - from > 10 * sched.slow
    assert.truthy(sched.now() - from < 5 * sched.slow)
    gw:wait_log("the upstream took nothing of a tunnel for too long")
    u.released = true
    c:close()
    site.stop(gw, up)
  end)

  it("is told 1012 at the end of a drain, between frames", function()
    local gw, up = start({ settings = { drain_delay = "0s", drain_timeout = ms(300) } })
    local whole, within, over = open(gw, "/echo/whole"), open(gw, "/echo/within"), open(gw, "/echo/over")
    whole:send("\129\2hi")
    within:send("\129\5hi")
    over:send("\136\0")
    assert.same("\129\2hi", whole:read(4))
    assert.same("\129\5hi", within:read(4))
    assert.same("\136\0", over:read(2))
    local from = sched.now()
    gw:signal("TERM")
    sched.sleep(0.1 * sched.slow)
    whole:send("\129\2yo") -- a tunnel goes on until then
    assert.same("\129\2yo", whole:read(4))
    assert.same({ RESTART, "closed" }, { whole:read_all() })
    assert.same({ "", "closed" }, { within:read_all() })
    assert.same({ "", "closed" }, { over:read_all() })
    assert.truthy(sched.now() - from > 0.25 * sched.slow)
    for path, c in pairs({ whole = whole, within = within, over = over }) do
      c:close()
      assert.same(101, logged(gw, "/echo/" .. path).response.status)
    end
    site.stop(gw, up)
  end)

  it("holds up a drain no longer than it lasts", function()
    local gw, up = start({ settings = { drain_delay = "0s", drain_timeout = "60s" } })
    local c = open(gw, "/echo/1")
    gw:signal("TERM")
    c:send("x")
    assert.same("x", c:read(1))
    local from = sched.now()
    c:close()
    site.stop(gw, up)
    assert.truthy(sched.now() - from < 10 * sched.slow)
  end)

  it("has max_stream_age", function()
    local gw, up = start({ settings = { max_stream_age = ms(300) } })
    local c = open(gw, "/echo/age")
    assert.same({ RESTART, "closed" }, { c:read_all() })
    c:close()
    gw:wait_log("the tunnel has reached its greatest age")
    assert.same(101, logged(gw, "/echo/age").response.status)
    site.stop(gw, up)
  end)
end)
