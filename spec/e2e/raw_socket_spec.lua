-- ngx.req.socket(true): the client's connection in a plugin's hands. Everything on the wire is the plugin's, the request is logged
-- once, and the connection closes when the plugin has returned.

require("e2e.support.expect")
local certs = require("e2e.support.certs")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local script = require("e2e.support.script")
local signal = require("posix.signal")

local function escaped(text)
  return (text:gsub("[^%w]", function(char)
    return ("%%%02X"):format(char:byte())
  end))
end

describe("a raw request socket", function()
  local gw, up

  setup(function()
    gw, up = script.start({ tls = true, settings = { trusted_plugins = "script" } })
  end)

  teardown(function()
    script.stop(gw, up)
  end)

  -- Sends a head whose plugin runs the text (with `sock` and `err`), and bytes behind it.
  local function open(path, text, opts)
    opts = opts or {}
    local c = client.connect(opts.to or gw, { tls = opts.tls })
    local code = (opts.before or "") .. " local sock, err = ngx.req.socket(true) " .. text
    c:send(("%s %s HTTP/1.1\r\nHost: a\r\nX-Script-Name: own\r\nX-Script: %s\r\n%s\r\n%s"):format(opts.method or "GET", path,
      escaped(code), opts.fields or "", opts.bytes or ""))
    return c
  end

  local function logged(path)
    return gw:wait_access(function(entry)
      return entry.request.uri == path
    end)
  end

  local function times_logged(path)
    local n = 0
    for _, entry in ipairs(gw:access_log()) do
      n = n + (entry.request.uri == path and 1 or 0)
    end
    return n
  end

  it("carries what the plugin writes and reads, and nothing of the gateway's", function()
    local c = open("/talk", [[
      assert(sock:send({ "hel", "lo", 1, "\n" }))
      sock:send(assert(sock:receive()) .. "|" .. assert(sock:receive(3)) .. "|" .. sock:receiveuntil("--")())
    ]])
    assert.same("hello1\n", c:read_through("\n"))
    c:send("line\r\nabcrest--")
    assert.same("line|abc|rest", c:read_all())
    c:close()
    local entry = logged("/talk")
    assert.same(200, entry.response.status)
    assert.same(1, times_logged("/talk"))
  end)

  it("has the bytes that came with the head, also in single bytes, and those of a body nobody read", function()
    local echo = [[ sock:send(assert(sock:receive()) .. "+" .. assert(sock:receive())) ]]
    assert.same("one+two", open("/early", echo, { bytes = "one\ntwo\n" }):read_all())
    assert.same("one+two", open("/waits", echo, { before = "ngx.sleep(0.02)", bytes = "one\ntwo\n" }):read_all())
    local c = open("/body", echo, { method = "POST", fields = "Content-Length: 8\r\n", bytes = "on" })
    for char in ("e\ntwo\n"):gmatch(".") do
      c:send(char)
    end
    assert.same("one+two", c:read_all())
    assert.same("GET / HTTP/1.1+two", open("/pipelined", echo, { bytes = "GET / HTTP/1.1\r\ntwo\n" }):read_all())
  end)

  it("has what comes behind a body that was read", function()
    assert.same("body+next", open("/behind", [[ sock:send(ngx.req.get_body_data() .. "+" .. sock:receive()) ]],
      { method = "POST", before = "ngx.req.read_body()", fields = "Content-Length: 4\r\n", bytes = "bodynext\n" }):read_all())
  end)

  it("carries much in both directions", function()
    local c = open("/much", [[
      local n = 0
      while n < 500000 do n = n + #assert(sock:receiveany(65536)) end
      assert(sock:send(("y"):rep(3000000)))
    ]])
    c:send(("x"):rep(500000))
    assert.same(3000000, #c:read_all())
    local entry = logged("/much")
    assert.same(3000000, entry.response.size)
    assert.is_true(entry.request.size > 500000, entry.request.size)
  end)

  it("works over TLS", function()
    local c = open("/tls", [[ sock:send("got " .. sock:receive()) ]],
      { to = { host = gw.host, port = gw.tls_port }, tls = { cafile = certs.ca() }, bytes = "it\n" })
    assert.same("got it", c:read_all())
  end)

  it("follows a head that the plugin sent", function()
    local c = open("/switch", [[ sock:send("raw " .. sock:receive()) ]], {
      before = [[ ngx.status = 101 ngx.header["Upgrade"] = "echo" ngx.send_headers() ngx.flush(true) ]], bytes = "bytes\n" })
    local head = c:read_through("\r\n\r\n")
    assert.matches("^HTTP/1.1 101 Switching Protocols\r\n", head)
    assert.matches("\r\nConnection: Upgrade\r\n", head, 1, true)
    assert.matches("\r\nUpgrade: echo\r\n", head, 1, true)
    assert.falsy(head:find("Transfer%-Encoding") or head:find("Content%-Length"))
    assert.same("raw bytes", c:read_all())
    assert.same(101, logged("/switch").response.status)
  end)

  it("ends a chunked response without its last chunk", function()
    local c = open("/chunked", [[ sock:send("RAW") ]], { before = [[ ngx.print("a") ngx.flush(true) ]] })
    local head = c:read_through("\r\n\r\n")
    assert.matches("Transfer-Encoding: chunked", head, 1, true)
    assert.same("1\r\na\r\nRAW", c:read_all())
  end)

  it("is the only way to write then", function()
    local why = "nil raw request socket acquired"
    local c = open("/only", [[
      local function told(...) local got, text = ... return tostring(got) .. " " .. tostring(text) .. "\n" end
      sock:send({ told(ngx.say("x")), told(ngx.flush(true)), told(ngx.eof()), told(ngx.send_headers()),
        told(ngx.req.socket(true)), told(sock:close()), told(sock:setkeepalive()) })
      return ngx.exit(418)
    ]])
    assert.same({ why, why, why, "1 nil", "nil duplicate call",
      "nil close: the connection is the client's; it closes when the plugin has returned",
      "nil setkeepalive: the connection is the client's; it closes when the plugin has returned" }, (function()
      local lines = {}
      for line in c:read_all():gmatch("[^\n]+") do
        lines[#lines + 1] = line
      end
      return lines
    end)())
  end)

  it("tells the plugin when the client ends, and lets it finish", function()
    local c = open("/ends", [[
      local data, why, partial = sock:receive()
      ngx.sleep(0.01)
      ngx.log(ngx.WARN, "heard ", tostring(data), " ", why, " ", partial, ".")
    ]])
    c:send("half")
    c:close()
    gw:wait_log("heard nil closed half%.")
    logged("/ends")
    assert.same(1, times_logged("/ends"))
  end)

  it("ends a request whose client has broken off, though nobody reads", function()
    local c = open("/broken", [[ sock:send("here") ngx.sleep(30) ]])
    c:read(4)
    c:reset()
    assert.same(499, logged("/broken").response.status)
    assert.same(1, times_logged("/broken"))
  end)

  it("cuts the connection when the plugin fails", function()
    gw:expect_error("attempt to call local 'none'")
    local c = open("/fails", [[ sock:send("begun") local none; none() ]])
    assert.same("begun", c:read(5))
    c:wait_closed()
    logged("/fails")
  end)

  it("ends with the plugin that has forgotten it, or whose client is deaf", function()
    local c = open("/forgotten", [[ sock:send("x") sock = nil collectgarbage() collectgarbage() ngx.sleep(0.01) ]])
    assert.same("x", c:read_all())
    c = open("/deaf", [[
      local sent, why
      repeat sent, why = sock:send(("x"):rep(100000)) until not sent
      ngx.log(ngx.WARN, "deaf: ", why, " ", select(2, sock:receive()), " ", select(2, sock:send("y")), ".")
    ]])
    c:read(1)
    c:reset()
    gw:wait_log("deaf: connection reset by peer .+ closed%.")
    logged("/deaf")
    assert.same(1, times_logged("/deaf"))
  end)

  it("has time limits", function()
    local c = open("/late", [[
      sock:settimeout(20)
      local data, why = sock:receive()
      sock:send(tostring(data) .. " " .. why)
    ]])
    assert.same("nil timeout", c:read_all())
  end)

  it("serves threads that read and write at once", function()
    local c = open("/threads", [[
      local reader = ngx.thread.spawn(function() return sock:receive() end)
      sock:send("first\n")
      local _, line = ngx.thread.wait(reader)
      sock:send(line)
    ]])
    assert.same("first\n", c:read_through("\n"))
    c:send("second\n")
    assert.same("second", c:read_all())
  end)

  it("is refused where it cannot be", function()
    local c = open("/chunks", [[ kong.response.exit(200, err) ]], { method = "POST", fields = "Transfer-Encoding: chunked\r\n",
      bytes = "3\r\nabc\r\n" })
    assert.matches("chunked request bodies not supported yet", c:read_through("yet"), 1, true)
    c:close()
  end)
end)

describe("a gateway that stops", function()
  it("cuts raw sockets and kills programs at the end of the drain", function()
    local gw, up = script.start({ settings = { trusted_plugins = "script", lua_pipe = "on", drain_timeout = "200ms" } })
    local c = client.connect(gw)
    local text = [[
      local sock = ngx.req.socket(true)
      local proc = require("ngx.pipe").spawn({ "sleep", "60" })
      sock:send(proc:pid() .. "\n")
      ngx.thread.spawn(function() return proc:wait() end)
      ngx.thread.spawn(function() return proc:stdout_read_all() end)
      sock:receive()
    ]]
    c:send(("GET /script HTTP/1.1\r\nHost: a\r\nX-Script-Name: own\r\nX-Script: %s\r\n\r\n"):format(escaped(text)))
    local pid = tonumber(c:read_through("\n"))
    assert.same(0, signal.kill(pid, 0))
    script.stop(gw, up)
    sched.wait_until(function()
      return signal.kill(pid, 0) ~= 0
    end)
    c:wait_closed()
  end)
end)
