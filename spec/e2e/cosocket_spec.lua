-- Cosockets in the real gateway: TLS, UDP, receiveuntil, full duplex, timeouts, pools and their limits, errors as
-- OpenResty words them. Reading lines and counts, names that do not exist and clients that go are in lua_spec.lua.

require("e2e.support.expect")
local cjson = require("cjson")
local certs = require("e2e.support.certs")
local process = require("e2e.support.process")
local sched = require("e2e.support.sched")
local script = require("e2e.support.script")
local upstream = require("e2e.support.upstream")
local socket = require("socket")

local null = cjson.null

-- A UDP socket that answers each datagram with answer(text), twice when it begins with "twice".
local function udp_server(answer)
  local server = assert(socket.udp())
  assert(server:setsockname("127.0.0.1", 0))
  server:settimeout(0)
  local self = { port = tonumber((select(2, server:getsockname()))) }
  local task = sched.spawn(function()
    while true do
      local text, host, port = server:receivefrom()
      if text and answer then
        server:sendto(answer(text), host, port)
        if text:find("^twice") then
          server:sendto(answer(text), host, port)
        end
      elseif not text then
        sched.readable(server, 3600)
      end
    end
  end)
  function self.stop()
    sched.stop(task)
    server:close()
  end
  return self
end

describe("a cosocket", function()
  local gw, up, peers

  setup(function()
    gw, up = script.start({ settings = { ca_file = certs.ca(), plugin_budget = "1s" } })
  end)

  teardown(function()
    script.stop(gw, up)
  end)

  before_each(function()
    peers = {}
  end)

  after_each(function()
    for _, peer in ipairs(peers) do
      peer:stop()
    end
  end)

  local function start(opts)
    local peer = upstream.start(opts)
    peers[#peers + 1] = peer
    return peer
  end

  -- Runs the text with `sock` connected to a peer with that script.
  local function connected(on, text, ...)
    local peer = start({ script = on })
    return script.run(gw, ([[
      local port = %d
      local sock = ngx.socket.tcp()
      sock:settimeout(2000)
      assert(sock:connect("127.0.0.1", port))
    ]]):format(peer.port) .. (select("#", ...) > 0 and text:format(...) or text)), peer
  end

  local function sends(text)
    return function(c)
      c:send(text)
    end
  end

  local function stays_open(c)
    pcall(c.wait_closed, c, 4 * sched.limit)
  end

  describe("with TLS", function()
    local HANDSHAKE = [[
      local sock = ngx.socket.tcp()
      assert(sock:connect("127.0.0.1", %d))
      local session, err = sock:sslhandshake(nil, %s, %s)
      local status
      if session then
        sock:send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        status = sock:receive()
      end
      return session and type(session), err, status
    ]]

    it("verifies the chain and the name", function()
      local peer = start({ tls = true })
      assert.same({ "table", null, "HTTP/1.1 200 Scripted" }, script.run(gw, HANDSHAKE, peer.port, "'upstream.test'", "true"))
    end)

    it("says when the certificate is another's", function()
      local peer = start({ tls = true })
      assert.same({ null, "certificate host mismatch", null }, script.run(gw, HANDSHAKE, peer.port, "'other.test'", "true"))
      assert.same({ null, "certificate host mismatch", null }, script.run(gw, HANDSHAKE, peer.port, "nil", "true"))
    end)

    it("says why the chain is not good", function()
      local dir = certs.dir()
      assert(os.execute(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=self.test "
        .. "-addext subjectAltName=DNS:self.test -keyout %s/self.key -out %s/self.pem 2>/dev/null"):format(dir, dir)) == 0)
      local peer = start({ tls = { key = dir .. "/self.key", certificate = dir .. "/self.pem" } })
      assert.same({ null, "18: self-signed certificate", null }, script.run(gw, HANDSHAKE, peer.port, "'self.test'", "true"))
      assert.same({ "table", null, "HTTP/1.1 200 Scripted" }, script.run(gw, HANDSHAKE, peer.port, "'self.test'", "false"))
    end)

    it("fails with a peer that has no TLS", function()
      local peer = start({ script = sends("220 plain text\r\n") })
      assert.same({ null, "handshake failed", null }, script.run(gw, HANDSHAKE, peer.port, "nil", "false"))
    end)

    it("resumes sessions by server name, and sends that name", function()
      local pair, port = certs.pair("upstream.test"), upstream.refused_port()
      local server = process.start({ program = "openssl", stdout = "/dev/null", stderr = "/dev/null", args = { "s_server", "-www",
        "-accept", "127.0.0.1:" .. port, "-cert", pair.certificate, "-key", pair.key,
        "-servername", "named.test", "-cert2", certs.pair("named.test").certificate, "-key2", certs.pair("named.test").key } })
      sched.wait_until(function()
        local probe = socket.connect("127.0.0.1", port)
        return probe and probe:close()
      end)
      local got = script.run(gw, [[
        local out = {}
        for i = 1, 2 do
          local sock = ngx.socket.tcp()
          assert(sock:connect("127.0.0.1", %d))
          assert(sock:sslhandshake(nil, "named.test", true))
          assert(sock:send("GET / HTTP/1.0\r\n\r\n"))
          local page = sock:receive("*a")
          out[i] = page:match("\n(New), ") or page:match("\n(Reused), ")
          sock:close()
        end
        return unpack(out)
      ]], port)
      server:signal("KILL")
      server:wait()
      assert.same({ "New", "Reused" }, got)
    end)

    it("shows a client certificate", function()
      local mine = certs.pair("client.test")
      local peer = start({ tls = { verify = { "peer", "fail_if_no_peer_cert" }, cafile = certs.ca() } })
      local text = [[
        local ssl = require "ngx.ssl"
        local function file(path) local f = assert(io.open(path)) local text = f:read("*a") f:close() return text end
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", %d))
        if %s then
          assert(sock:setclientcert(assert(ssl.parse_pem_cert(file("%s"))), assert(ssl.parse_pem_priv_key(file("%s")))))
        end
        local ok, err = sock:sslhandshake(nil, "upstream.test", true)
        sock:send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return ok and true, err, (sock:receive())
      ]]
      assert.same({ true, null, "HTTP/1.1 200 Scripted" }, script.run(gw, text, peer.port, "true", mine.certificate, mine.key))
      assert.same(null, script.run(gw, text, peer.port, "false", "", "")[3])
    end)

    it("takes certificates only as ngx.ssl parses them", function()
      assert.same({ null, "client certificate must be supplied with corresponding private key", null,
        "certificate is not valid PEM: no start line", true }, script.run(gw, [[
          local sock = ngx.socket.tcp()
          local a, why_a = sock:setclientcert({ pem = "x" })
          local b, why_b = require("ngx.ssl").parse_pem_cert("text")
          return a, why_a, b, why_b, (sock:setclientcert(nil, nil))
        ]]))
    end)
  end)

  describe("receiveuntil", function()
    -- The pieces a reader with that size gets, "|" at the pattern, until the end.
    local READ = [[
      local read = sock:receiveuntil(%q, { inclusive = %s })
      local out = {}
      while true do
        local data, err, partial = read(%s)
        if data then
          out[#out + 1] = data
        elseif err then
          out[#out + 1] = err .. ":" .. partial
          return unpack(out)
        else
          out[#out + 1] = "|"
        end
        if #out > 20 then return unpack(out) end
      end
    ]]

    it("gives what is before each pattern, then what is left", function()
      assert.same({ "one", "two", "closed:three" }, (connected(sends("one--ab--two--ab--three"), READ, "--ab--", "false", "")))
    end)

    it("includes the pattern when told", function()
      assert.same({ "one--", "two--", "closed:three" }, (connected(sends("one--two--three"), READ, "--", "true", "")))
    end)

    it("reads pieces of a size, and says when the pattern is reached", function()
      assert.same({ "abcd", "ef", "|", "gh", "|", "closed:i" }, (connected(sends("abcdef--gh--i"), READ, "--", "false", "4")))
    end)

    it("finds patterns that begin again inside themselves", function()
      assert.same({ "-", "--x-", "closed:" }, (connected(sends("---a--x---a"), READ, "--a", "false", "")))
      assert.same({ "aab", "closed:baa" }, (connected(sends("aabaabaaabaa"), READ, "aabaaa", "false", "")))
    end)

    it("finds the pattern wherever the bytes are cut", function()
      local text = "one--ab--two"
      for cut = 1, #text - 1 do
        local got = connected(function(c)
          c:send(text:sub(1, cut))
          c:sleep(0.002)
          c:send(text:sub(cut + 1))
        end, READ, "--ab--", "false", "")
        assert.same({ cut, "one", "closed:two" }, { cut, unpack(got) })
      end
    end)

    it("refuses an empty pattern", function()
      local got = connected(stays_open, [[return sock:receiveuntil("")]])
      assert.same({ cjson.null, "pattern is empty" }, got)
    end)
  end)

  it("reads and writes at once in two light threads", function()
    local total = 200 * 1000
    local got = connected(function(c)
      for _ = 1, 200 do
        local block = c:read(1000)
        c:send(block)
      end
    end, [[
      local received = 0
      local reader = ngx.thread.spawn(function()
        while received < %d do
          local data = assert(sock:receiveany(4096))
          received = received + #data
        end
        return received
      end)
      for i = 1, 200 do assert(sock:send(("x"):rep(1000))) end
      return ngx.thread.wait(reader)
    ]], total)
    assert.same({ true, total }, got)
  end)

  it("has one reader and one writer", function()
    local got = connected(function(c)
      c:sleep(0.4)
    end, [[
      local out = {}
      sock:settimeouts(1000, 50, 50)
      local reader = ngx.thread.spawn(function() return sock:receive() end)
      out[1] = select(2, sock:receive())
      out[2] = select(2, sock:setkeepalive())
      out[3] = select(2, sock:close())
      out[4] = select(3, ngx.thread.wait(reader))
      local writer = ngx.thread.spawn(function() return sock:send(("x"):rep(2^24)) end)
      out[5] = select(2, sock:send("y"))
      out[6] = select(3, ngx.thread.wait(writer))
      out[7] = select(2, sock:send("z"))
      return unpack(out)
    ]])
    assert.same({ "socket busy reading", "socket busy reading", "socket busy reading", "timeout", "socket busy writing",
      "timeout", "closed" }, got)
  end)

  it("keeps what came before a timeout, and the connection after it", function()
    local got = connected(function(c)
      c:send("half")
      c:read_through("go on")
      c:send(" a line\r\nrest")
    end, [[
      sock:settimeouts(1000, 1000, 30)
      local line, err, partial = sock:receive()
      sock:settimeouts(1000, 1000, 2000)
      sock:send("go on")
      return line, err, partial, sock:receive(), sock:receive(100)
    ]])
    assert.same({ null, "timeout", "half", " a line", null, "closed", "rest" }, got)
  end)

  it("gives up connecting after its time", function()
    local hole = upstream.blackhole()
    local got = script.run(gw, [[
      local sock = ngx.socket.tcp()
      sock:settimeouts(50, 1000, 1000)
      local ok, err = sock:connect("127.0.0.1", %d)
      return ok, err, select(2, sock:send("x"))
    ]], hole.port)
    hole:stop()
    assert.same({ null, "timeout", "closed" }, got)
  end)

  it("takes a timeout of 0 for the default one", function()
    local got = connected(function(c)
      c:sleep(0.03)
      c:send("late\n")
    end, [[sock:settimeout(0) return sock:receive()]])
    assert.same({ "late" }, got)
  end)

  it("reads no further than asked with receiveany", function()
    local got = connected(sends("abcdef"), [[
      return sock:receiveany(4), sock:receiveany(4), select(2, sock:receiveany(4))
    ]])
    assert.same({ "abcd", "ef", "closed" }, got)
  end)

  it("half-closes", function()
    local got = connected(function(c)
      local all = c:read_all()
      c:send("got " .. #all)
    end, [[sock:send("12345") assert(sock:shutdown("send")) return sock:receive("*a")]])
    assert.same({ "got 5" }, got)
  end)

  it("sets and tells options of its socket", function()
    local got = connected(stays_open, [[
      local before = sock:getoption("keepalive")
      assert(sock:setoption("keepalive", true))
      assert(sock:setoption("sndbuf", 65536))
      local closed = ngx.socket.tcp()
      return before, sock:getoption("keepalive"), sock:getoption("sndbuf") >= 65536, sock:getoption("tcp-nodelay"),
        select(2, sock:setoption("color", 1)), select(2, sock:setoption("keepalive")),
        select(2, closed:setoption("keepalive", true))
    ]])
    assert.same({ 0, 1, true, 1, "unsupported option color", "missing the \"value\" argument", "closed" }, got)
  end)

  it("belongs to the request that made it", function()
    local peer = start({ script = stays_open })
    script.run(gw, [[_G.kept = ngx.socket.tcp() assert(kept:connect("127.0.0.1", %d)) return 1]], peer.port)
    assert.same({ false, "bad request" }, script.run(gw, [[
      local ok, err = pcall(kept.send, kept, "x")
      _G.kept = nil
      return ok, err:match("bad request$")
    ]]))
  end)

  describe("in a pool", function()
    local function answers(c)
      while c:read_through("\n") do
        c:send("ok\n")
      end
    end

    local function pools(text, ...)
      local peer = start({ script = answers })
      return script.run(gw, ([[
        local port = %d
        local function connect(opts, timeout)
          local sock = ngx.socket.tcp()
          sock:settimeouts(timeout or 1000, 1000, 1000)
          local ok, err = sock:connect("127.0.0.1", port, opts)
          return ok and sock, err
        end
        local function use(sock) assert(sock:send("x\n")) return assert(sock:receive()) end
      ]]):format(peer.port) .. (select("#", ...) > 0 and text:format(...) or text)), peer
    end

    it("is not kept with unread data", function()
      local got, peer = pools([[
        local sock = connect()
        sock:send("x\ny\n")
        sock:receive()
        ngx.sleep(0.02)
        local again, err = sock:setkeepalive(1000, 10)
        return err
      ]])
      -- The second answer is in the kernel or here: in both cases the connection is not given out again.
      assert.truthy(got[1] == "connection in dubious state" or got[1] == null)
      assert.same(1, #peer.connections)
    end)

    it("drops the oldest beyond its size", function()
      local got = pools([[
        local socks = {}
        for i = 1, 3 do socks[i] = connect({ pool = "small" }) use(socks[i]) end
        for i = 1, 3 do assert(socks[i]:setkeepalive(1000, 2)) end
        local times = {}
        for i = 1, 3 do socks[i] = connect({ pool = "small" }) times[i] = socks[i]:getreusedtimes() end
        return unpack(times)
      ]])
      assert.same({ 1, 1, 0 }, got)
    end)

    it("forgets idle connections after their time, and those the peer ends", function()
      local got, peer = pools([[
        local sock = connect() use(sock) sock:setkeepalive(20, 10)
        ngx.sleep(0.06)
        sock = connect()
        local first = sock:getreusedtimes()
        use(sock) sock:setkeepalive(0, 10)
        return first
      ]])
      assert.same({ 0 }, got)
      peer.connections[#peer.connections]:close()
      sched.sleep(0.02)
      assert.same({ 0 }, script.run(gw, [[
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", %d))
        return sock:getreusedtimes()
      ]], peer.port))
    end)

    it("waits for a connection when all are in use, and is refused beyond the backlog", function()
      local got, peer = pools([[
        local opts = { pool = "limited", pool_size = 1, backlog = 1 }
        local first = connect(opts)
        local order = {}
        local waiter = ngx.thread.spawn(function()
          local sock = assert(connect(opts))
          order[#order + 1] = "waited"
          local times = sock:getreusedtimes()
          use(sock)
          sock:close()
          return times
        end)
        local refused, err = connect(opts)
        order[#order + 1] = use(first)
        assert(first:setkeepalive(1000, 1))
        local _, times = ngx.thread.wait(waiter)
        local last = connect(opts)
        return err, times, order[1], order[2], last:getreusedtimes()
      ]])
      assert.same({ "too many waiting connect operations", 1, "ok", "waited", 0 }, got)
      assert.same(2, #peer.connections)
    end)

    it("gives up waiting after the connect timeout", function()
      local got = pools([[
        local opts = { pool = "slow", pool_size = 1, backlog = 5 }
        local first = connect(opts)
        local second, err = connect(opts, 30)
        first:close()
        local third = connect(opts)
        return err, third ~= nil
      ]])
      assert.same({ "timeout", true }, got)
    end)

    it("passes the turn on when one that waits is killed", function()
      local got = pools([[
        local opts = { pool = "killed", pool_size = 1, backlog = 2 }
        local first = connect(opts)
        local killed = ngx.thread.spawn(connect, opts)
        local next_one = ngx.thread.spawn(function() return use(connect(opts)) end)
        ngx.thread.kill(killed)
        first:close()
        return ngx.thread.wait(next_one)
      ]])
      assert.same({ true, "ok" }, got)
    end)

    it("refuses options that make no sense", function()
      local got = pools([[
        return select(2, pcall(connect, { pool_size = 0 })):match("bad.*"),
          select(2, pcall(connect, { backlog = -1 })):match("bad.*")
      ]])
      assert.same({ "bad \"pool_size\" option: 0", "bad \"backlog\" option: -1" }, got)
    end)
  end)

  describe("over UDP", function()
    it("sends datagrams and receives them one by one", function()
      local server = udp_server(string.upper)
      local got = script.run(gw, [[
        local sock = ngx.socket.udp()
        assert(sock:setpeername("127.0.0.1", %d))
        sock:settimeout(1000)
        assert(sock:send({ "one", " ", 2 }))
        local first = sock:receive()
        sock:send("twice")
        local second, third = sock:receive(), sock:receive(3)
        sock:close()
        return first, second, third, select(2, sock:send("x")), select(2, sock:receive())
      ]], server.port)
      server.stop()
      assert.same({ "ONE 2", "TWICE", "TWI", "closed", "closed" }, got)
    end)

    it("times out, and hears that nobody is there", function()
      local server = udp_server()
      local got = script.run(gw, [[
        local sock = ngx.socket.udp()
        sock:settimeout(20)
        local before = select(2, sock:send("x"))
        assert(sock:setpeername("127.0.0.1", %d))
        sock:send("x")
        local late = select(2, sock:receive())
        local lost = ngx.socket.udp()
        lost:settimeout(500)
        assert(lost:setpeername("127.0.0.1", %d))
        lost:send("x")
        return before, late, select(2, lost:receive()), select(2, ngx.socket.udp():setpeername("no-such-host.invalid", 1))
      ]], server.port, upstream.refused_port())
      server.stop()
      assert.same({ "closed", "timeout", "connection refused",
        "no-such-host.invalid could not be resolved (3: Host not found)" }, got)
    end)
  end)
end)
