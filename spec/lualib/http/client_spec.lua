-- Requests of the gateway's own over a scripted socket: framing, limits, pools. Real sockets: spec/e2e.

describe("http.client", function()
  local http, sockets, script, clock

  -- A socket that hands out bytes: all of them, then "closed" (or script.ends).
  local function socket()
    local sock = { sent = "", rest = script.bytes, reused = script.reused or 0, calls = {} }
    sockets[#sockets + 1] = sock
    local function take(n)
      local data = sock.rest:sub(1, n)
      sock.rest = sock.rest:sub(n + 1)
      clock = clock + (script.slow or 0)
      return data
    end
    function sock:connect(...) self.connected = { ... } return not script.refused, script.refused end
    function sock:sslhandshake(...) self.tls = { ... } return not script.untrusted, script.untrusted end
    function sock:settimeouts() end
    function sock:getreusedtimes() return self.reused end
    function sock:setkeepalive() self.kept = true end
    function sock:close() self.closed = true end
    function sock:send(data) self.sent = self.sent .. data return true end
    function sock:receive(what)
      if what == "*l" then
        local stop = self.rest:find("\n", 1, true)
        if not stop then
          return nil, script.ends or "closed"
        end
        return (take(stop):gsub("\r?\n$", ""))
      elseif #self.rest < what then
        return nil, script.ends or "closed"
      end
      return take(what)
    end
    function sock:receiveany(max)
      if self.rest == "" then
        return nil, script.ends or "closed"
      end
      return take(math.min(max, 3))
    end
    return sock
  end

  before_each(function()
    sockets, script, clock = {}, {}, 0
    package.loaded["moongate.abi.socket"] = { tcp = socket }
    package.loaded["moongate.abi.node"] = { mono = function() return clock end }
    package.loaded["moongate.abi.crypto"] = { encode_base64 = function(s) return "b64(" .. s .. ")" end }
    package.loaded["moongate.http.client"] = nil
    http = require "moongate.http.client"
  end)

  teardown(function()
    for _, name in ipairs({ "abi.socket", "abi.node", "abi.crypto", "http.client" }) do
      package.loaded["moongate." .. name] = nil
    end
  end)

  local function ask(bytes, opts)
    script.bytes = bytes
    opts = opts or {}
    opts.url = opts.url or "http://a.test/x?y"
    return http.request(opts)
  end

  local CHUNKED = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
    .. "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
  local LENGTH = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"

  it("writes a request", function()
    ask(LENGTH, { method = "POST", body = "data", headers = { ["X-B"] = "b" } })
    assert.same("POST /x?y HTTP/1.1\r\nHost: a.test\r\nX-B: b\r\nContent-Length: 4\r\n\r\ndata", sockets[1].sent)
    ask(LENGTH, { url = "http://me:p%40w@a.test:81" })
    assert.same("GET / HTTP/1.1\r\nHost: a.test:81\r\nAuthorization: Basic b64(me:p@w)\r\n\r\n", sockets[2].sent)
  end)

  it("reads chunked, counted and unbounded bodies, and keeps what can be kept", function()
    for _, case in ipairs({
      { CHUNKED, "abc0123456789", true },
      { LENGTH, "body", true },
      { "HTTP/1.1 200 OK\r\n\r\nto the end", "to the end", nil },
      { "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", nil },
      { "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", "x", nil },
      { "HTTP/1.1 204 No Content\r\n\r\n", "", true },
    }) do
      local answer = assert(ask(case[1]))
      assert.same({ case[2], case[3] }, { answer.body, sockets[#sockets].kept })
    end
    assert.same("1, 2", ask(CHUNKED).headers["x-a"])
    assert.same("", ask("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", { method = "HEAD" }).body)
  end)

  it("takes no response that was cut, wherever", function()
    for _, bytes in ipairs({ CHUNKED, LENGTH }) do
      for i = 0, #bytes - 1 do
        local answer, why = ask(bytes:sub(1, i))
        assert.is_nil(answer, i)
        assert.matches("^a.test:80: ", why)
        assert.is_true(sockets[#sockets].closed)
      end
    end
  end)

  it("refuses what is no HTTP, and what is too much", function()
    for _, case in ipairs({
      { "SSH-2.0\r\n", "malformed status line" },
      { "HTTP/1.1 200 OK\r\nno field\r\n\r\n", "malformed response head" },
      { "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "malformed Content-Length" },
      { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "malformed chunk" },
      { "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" .. ("x"):rep(99), "response body too large" },
      { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n63\r\n" .. ("x"):rep(99), "response body too large" },
      { "HTTP/1.1 200 OK\r\n\r\n" .. ("x"):rep(99), "response body too large" },
      { "HTTP/1.1 200 OK\r\n" .. ("A: b\r\n"):rep(300) .. "\r\n", "response head too large" },
    }) do
      local answer, why = ask(case[1], { body_max_bytes = 50 })
      assert.is_nil(answer)
      assert.same("a.test:80: " .. case[2], why)
    end
  end)

  it("refuses URLs and fields that are none", function()
    for _, url in ipairs({ "ftp://a", "http://", "http://a:99999", "http://a b/", "http://a/\r\nX: y" }) do
      assert.is_nil((http.request({ url = url })), url)
    end
    assert.same("invalid header field 'X'", select(2, ask(LENGTH, { headers = { X = "a\r\nY: b" } })))
    assert.same(0, #sockets)
  end)

  it("asks once more when a pooled connection was dead, and only then", function()
    script.reused = 1
    script.bytes = ""
    local answered = socket
    package.loaded["moongate.abi.socket"].tcp = function()
      local s = answered()
      if #sockets == 2 then
        s.rest, s.reused = LENGTH, 0
      end
      return s
    end
    assert.same("body", http.request({ url = "http://a.test" }).body)
    assert.same(2, #sockets)
    package.loaded["moongate.abi.socket"].tcp = answered
    script.reused = 0
    assert.is_nil((ask("")))
    assert.same(3, #sockets)
  end)

  it("verifies certificates unless told not to, and pools apart", function()
    ask(LENGTH, { url = "https://a.test" })
    ask(LENGTH, { url = "https://a.test", ssl_verify = false, server_name = "b.test" })
    assert.same({ { "a.test", true }, { "b.test", false } }, { sockets[1].tls, sockets[2].tls })
    assert.are_not.equal(sockets[1].connected[3], sockets[2].connected[3])
    script.untrusted = "certificate verify failed"
    assert.same("a.test:443: certificate verify failed", select(2, ask(LENGTH, { url = "https://a.test" })))
  end)

  it("has one time limit for everything together", function()
    script.slow = 0.4
    assert.same("a.test:80: timeout", select(2, ask(CHUNKED, { timeout_ms = 1000 })))
  end)
end)
