-- The client over a fake socket that serves bytes: framing, pooling, stale connections, cut answers.

describe("http.client", function()
  local http, answers, connections, clock

  -- A connection whose peer answers with `bytes` and then closes (or is silent).
  local function fake_socket()
    local c = { sent = {}, calls = {} }
    local left
    local function missing()
      return nil, c.silent and "timeout" or "closed"
    end
    function c.connect(_, host, port, pool)
      c.host, c.port, c.pool = host, port, pool
      local answer = table.remove(answers, 1) or {}
      if answer.refused then
        return nil, "connection refused"
      end
      left, c.reused, c.silent = answer.bytes or "", answer.reused or 0, answer.silent
      table.insert(connections, c)
      return true
    end
    function c.sslhandshake(_, name, verify)
      c.tls = { name, verify }
      return true
    end
    function c.getreusedtimes(_) return c.reused end
    function c.settimeouts(_, ms) c.timeout = ms end
    function c.send(_, text) table.insert(c.sent, text) return true end
    function c.receive(_, what)
      if what == "*l" then
        local line, rest = left:match("^(.-)\n(.*)$")
        if not line then
          return missing()
        end
        left = rest
        return (line:gsub("\r$", ""))
      end
      if #left < what then
        return missing()
      end
      local data = left:sub(1, what)
      left = left:sub(what + 1)
      return data
    end
    function c.receiveany(_)
      if left == "" then
        return missing()
      end
      local data = left
      left = ""
      return data
    end
    function c.setkeepalive(_, ms) c.kept = ms return true end
    function c.close(_) c.closed = true return true end
    return c
  end

  before_each(function()
    answers, connections, clock = {}, {}, 100
    package.loaded["moongate.abi.socket"] = { tcp = fake_socket }
    package.loaded["moongate.abi.node"] = { mono = function() return clock end }
    package.loaded["moongate.abi.crypto"] = { encode_base64 = function(s) return "b64(" .. s .. ")" end }
    package.loaded["moongate.http.client"] = nil
    http = require "moongate.http.client"
  end)

  after_each(function()
    for _, name in ipairs({ "abi.socket", "abi.node", "abi.crypto", "http.client" }) do
      package.loaded["moongate." .. name] = nil
    end
  end)

  local function ask(bytes, opts)
    answers = { { bytes = bytes } }
    opts = opts or {}
    opts.url = opts.url or "http://a.test/x?y=1"
    return http.request(opts)
  end

  it("writes a request", function()
    ask("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", { method = "POST", body = "abc", headers = { ["X-A"] = 1 },
      url = "https://us%65r:p@a.test:8443/p?q#f", timeout_ms = 2000 })
    local c = connections[1]
    assert.same({ "POST /p?q HTTP/1.1\r\nHost: a.test:8443\r\nX-A: 1\r\nAuthorization: Basic b64(user:p)\r\n"
      .. "Content-Length: 3\r\n\r\nabc" }, c.sent)
    assert.same({ "a.test", 8443, { "a.test", true }, 2000, 60000 }, { c.host, c.port, c.tls, c.timeout, c.kept })
  end)

  for name, case in pairs({
    length = { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Two: a\r\nX-Two: b\r\n\r\nhello", "hello", true },
    chunks = {
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n", "hello", true,
    },
    ["the connection's end"] = { "HTTP/1.1 200 OK\r\n\r\nhello", "hello", false },
    ["HTTP/1.0"] = { "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false },
    ["Connection: close"] = { "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 5\r\n\r\nhello", "hello", false },
    ["a 204"] = { "HTTP/1.1 204 No Content\r\n\r\n", "", true },
    ["interim heads"] = { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "x", true },
  }) do
    it("reads a body framed by " .. name, function()
      local answer = ask(case[1])
      assert.same(case[2], answer.body)
      assert.same(case[3], connections[1].kept ~= nil)
      assert.same(not case[3], connections[1].closed == true)
    end)

    it("takes no answer for whole that is cut, framed by " .. name, function()
      for n = 0, #case[1] - 1 do
        local answer = ask(case[1]:sub(1, n))
        if name == "the connection's end" and n >= #"HTTP/1.1 200 OK\r\n\r\n" then
          assert.same(case[1]:sub(20, n), answer.body)
        elseif not case[1]:sub(n + 1):find("^\r?\n$") then
          assert.is_nil(answer, n)
        end
      end
    end)
  end

  it("joins fields of one name", function()
    local answer = ask("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Two: a\r\nx-two: b\r\n\r\n")
    assert.same({ 200, "a, b" }, { answer.status, answer.headers["x-two"] })
  end)

  it("tells where it failed", function()
    answers = { { refused = true } }
    assert.same({ nil, "a.test:80: connection refused" }, { http.request({ url = "http://a.test" }) })
    assert.same({ nil, "a.test:80: malformed status line" }, { ask("SMTP\r\n") })
    assert.same({ nil, "a.test:80: malformed response head" }, { ask("HTTP/1.1 200 OK\r\nno colon\r\n\r\n") })
    assert.same({ nil, "a.test:80: malformed chunk" }, { ask("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n") })
    assert.same({ nil, "a.test:80: malformed Content-Length" }, { ask("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n") })
    assert.same({ nil, "a.test:80: response body too large" }, { ask("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      { body_max_bytes = 4 }) })
  end)

  it("asks again on a new connection when a pooled one was dead", function()
    answers = { { reused = 3 }, { reused = 1 }, { bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" } }
    assert.same(200, http.request({ url = "http://a.test" }).status)
    assert.same(3, #connections)
  end)

  it("does not when an answer had begun, or time was over", function()
    answers = { { reused = 1, bytes = "HTTP/1.1 200 OK\r\n" }, { bytes = "" } }
    assert.same({ nil, "a.test:80: closed" }, { http.request({ url = "http://a.test" }) })
    answers = { { reused = 1, silent = true }, { bytes = "" } }
    assert.same({ nil, "a.test:80: timeout" }, { http.request({ url = "http://a.test" }) })
    assert.same(2, #connections)
  end)

  it("refuses bad URLs and fields", function()
    for _, url in ipairs({ "ftp://a", "a.test", "http://", "http://a b", "http://a:99999/", "http://a:x/" }) do
      local answer, err = http.request({ url = url })
      assert.is_nil(answer)
      assert.matches("invalid URL '", err, 1, true)
    end
    assert.same({ nil, "invalid header field 'X'" }, { http.request({ url = "http://a", headers = { X = "a\r\nb" } }) })
    assert.same({ nil, "invalid header field 'X Y'" }, { http.request({ url = "http://a", headers = { ["X Y"] = "a" } }) })
  end)

  it("parses URLs", function()
    assert.same({ scheme = "https", host = "[::1]", port = 443, authority = "[::1]", target = "/?a" },
      http.parse_url("HTTPS://[::1]?a"))
  end)
end)
