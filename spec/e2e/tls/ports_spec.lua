-- Clients that end their side early, and clients that speak the wrong protocol to a port.

require("e2e.support.expect")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")

local GET = "GET %s HTTP/1.1\r\nHost: gateway.test\r\n\r\n"

describe("a client that speaks the wrong protocol", function()
  local gw, up

  setup(function()
    gw, up = site.start({ tls = true, settings = { header_timeout = "20s" } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  for name, bytes in pairs({
    request = GET:format("/"),
    ["body behind it"] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n" .. ("x"):rep(30000),
    tunnel = "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
  }) do
    it("gets a 400 for plain HTTP on a TLS port: " .. name, function()
      local result = client.raw({ port = gw.tls_port }, bytes)
      assert.same(1, #result.responses)
      assert.status(400, result.responses[1])
      assert.same("The plain HTTP request was sent to HTTPS port", result.responses[1]:json().message)
      assert.same("closed", result.ended)
      assert.truthy(gw:wait_log("TLS handshake with 127.0.0.1: plain HTTP on a TLS port"))
      assert.same(0, #up.requests)
    end)
  end

  it("is closed without an answer for what is neither", function()
    local result = client.raw({ port = gw.tls_port }, "\0\1\2\3nonsense\r\n\r\n")
    assert.same({ 0, "closed" }, { #result.responses, result.ended })
  end)

  it("gets a 400 at once for TLS on a plain port", function()
    local from = sched.now()
    local result = client.raw(gw, "\22\3\1\2\0\1\0\1\252\3\3" .. ("r"):rep(60))
    assert.same(1, #result.responses)
    assert.status(400, result.responses[1])
    assert.same("closed", result.ended)
    assert.truthy(sched.now() - from < 2 * sched.slow)
    assert.truthy(gw:wait_log("a TLS hello came to a port for plain HTTP"))
    assert.same(400, gw:wait_access(function(entry)
      return entry.response.status == 400
    end).response.status)
  end)
end)

-- Sends a request that is answered after `pause`; when it came to the upstream, ends its side.
local function half_closed(gw, up, opts)
  opts = opts or {}
  local gone, answered = nil, false
  up:on(function(c)
    c:read_request()
    gone = select(2, pcall(c.wait_closed, c, 0.3 * sched.slow))
    answered = c:send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
  end)
  local before = #up.requests
  local c = client.connect(opts.to or gw)
  c:send(opts.bytes or GET:format("/"))
  up:wait_requests(before + 1)
  if opts.reset then
    c:reset()
  else
    c:half_close()
  end
  return c, function()
    return gone, answered
  end
end

describe("a client that ends its side after its request", function()
  it("is taken for gone, as by nginx", function()
    local gw, up = site.start()
    local c = half_closed(gw, up)
    assert.same("", (c:read_all()))
    assert.same(499, gw:wait_access(function(entry)
      return entry
    end).response.status)
    c:close()
    site.stop(gw, up)
  end)

  describe("with client_half_close", function()
    local gw, up

    setup(function()
      gw, up = site.start({ settings = { client_half_close = "on" } })
    end)

    teardown(function()
      site.stop(gw, up)
    end)

    it("gets its answer, and then the end", function()
      local c = half_closed(gw, up)
      local bytes, ended = c:read_all()
      assert.truthy(bytes:find("^HTTP/1.1 200 OK\r\n.*ok$"), bytes)
      assert.same("closed", ended)
      c:close()
    end)

    it("gets all of the answers it had asked for, and none for half a request", function()
      local c = half_closed(gw, up, { bytes = GET:format("/1") .. GET:format("/2") .. "GET /3 HT" })
      local bytes, ended = c:read_all()
      assert.same(2, select(2, bytes:gsub("HTTP/1.1 200 OK", "")))
      assert.same("closed", ended)
      c:close()
    end)

    it("is noticed when it resets the connection after that", function()
      local gone
      up:on(function(c)
        c:read_request()
        c:wait_closed(20)
        gone = sched.now()
      end)
      local before = #up.requests
      local c = client.connect(gw)
      c:send(GET:format("/reset"))
      up:wait_requests(before + 1)
      c:half_close()
      sched.sleep(0.1)
      assert.is_nil(gone)
      local from = sched.now()
      c:reset()
      sched.wait_until(function()
        return gone
      end)
      assert.truthy(gone - from < 0.15 * sched.slow, gone - from)
    end)

    it("is noticed when it resets instead", function()
      local from = sched.now()
      local _, outcome = half_closed(gw, up, { reset = true })
      sched.wait_until(function()
        return outcome()
      end)
      assert.same("closed", (outcome()))
      assert.truthy(sched.now() - from < 0.25 * sched.slow)
    end)
  end)
end)
