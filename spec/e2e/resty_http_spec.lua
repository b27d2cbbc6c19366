-- require "resty.http" in plugins: requests and bodies both ways, connections kept, TLS, proxies, errors as lua-resty-http
-- words them. Whose the module is: libraries_spec.lua.

require("e2e.support.expect")
local cjson = require("cjson")
local certs = require("e2e.support.certs")
local sched = require("e2e.support.sched")
local script = require("e2e.support.script")
local upstream = require("e2e.support.upstream")
local lfs = require("lfs")
local unix = require("socket.unix")

local null = cjson.null

describe("resty.http", function()
  local gw, up, peers

  setup(function()
    gw, up = script.start({ settings = { ca_file = certs.ca(), trusted_plugins = "script", plugin_budget = "2s" } })
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

  -- A peer that answers every request on a connection with these bytes; "open" keeps it open.
  local function says(bytes, how)
    return start({ script = function(c)
      while c:read_request() do
        c:send(bytes)
        if how ~= "open" then
          return
        end
      end
    end })
  end

  -- What the text returns, given `httpc`, `url` and `port` of the peer, and `connect()`.
  local function run(peer, text)
    return script.run(gw, ([[
      local http = require "resty.http"
      local cjson = require "cjson"
      local httpc = assert(http.new())
      httpc:set_timeout(3000)
      local url, port = %q, %d
      local function connect()
        assert(httpc:connect({ scheme = "http", host = "127.0.0.1", port = port }))
      end
    ]]):format(peer.url, peer.port) .. text)
  end

  describe("request_uri", function()
    it("sends what it is told and reads the whole answer", function()
      local peer = start()
      local got = run(peer, [[
        local res = assert(httpc:request_uri(url .. "/p?a=1", { method = "POST", body = "text", headers = { ["X-One"] = "1" } }))
        return res.status, res.reason, res.has_body, res.headers["content-type"], cjson.decode(res.body)
      ]])
      assert.same({ 200, "Scripted", true, "application/json" }, { unpack(got, 1, 4) })
      local seen = got[5]
      assert.same({ "POST", "/p?a=1", "text", "4", "1", "127.0.0.1:" .. peer.port }, { seen.method, seen.target, seen.body,
        seen.headers["content-length"], seen.headers["x-one"], seen.headers.host })
      assert.same("moongate-resty-http/0.17.2", seen.headers["user-agent"])
    end)

    it("encodes a table as the query, and takes path and query from the parameters first", function()
      local peer = start()
      assert.same({ "/a?x=a%20b%26c", "/b?y=1", "/c?z" }, run(peer, [[
        local function target(uri, params)
          return cjson.decode(assert(httpc:request_uri(url .. uri, params)).body).target
        end
        return target("/a", { query = { x = "a b&c" } }), target("/a?q=1", { path = "/b", query = "?y=1" }),
          target("/c?z#fragment")
      ]]))
    end)

    it("takes a body as parts and as a function, and sends a length of 0 where methods need one", function()
      local peer = start()
      assert.same({ "onetwo3", "abc", "0", null }, run(peer, [[
        local function seen(params)
          return cjson.decode(assert(httpc:request_uri(url, params)).body)
        end
        local parts = { "a", "", "bc" }
        return seen({ method = "PUT", body = { "one", "two", 3 } }).body,
          seen({ method = "POST", headers = { ["content-length"] = 3 }, body = function() return table.remove(parts, 1) end }).body,
          seen({ method = "POST" }).headers["content-length"], seen({}).headers["content-length"]
      ]]))
    end)

    it("keeps the connection and uses it again, unless told not to", function()
      local peer = start()
      assert.same({ 200, 200 }, run(peer, [[
        local a = httpc:request_uri(url)
        local b = http.new():request_uri(url, { keepalive = false })
        return a.status, b.status
      ]]))
      assert.same({ 1, 1 }, { peer.requests[1].conn_index, peer.requests[2].conn_index })
      assert.same({ 200 }, run(peer, "return httpc:request_uri(url).status"))
      assert.same(2, peer.requests[3].conn_index)
    end)

    it("leaves redirects alone and gives several lines of one name as an array", function()
      local peer = says("HTTP/1.1 302 Found\r\nLocation: /else\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n")
      assert.same({ 302, "Found", "/else", { "a=1", "b=2" }, "" }, run(peer, [[
        local res = assert(httpc:request_uri(url))
        return res.status, res.reason, res.headers.location, res.headers["SET-COOKIE"], res.body
      ]]))
      assert.same(1, #peer.requests)
    end)

    it("reads no body of HEAD, 204 and 304", function()
      local peer = says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "open")
      assert.same({ "", false, "5" }, run(peer, [[
        local res = assert(httpc:request_uri(url, { method = "HEAD" }))
        return res.body, res.has_body, res.headers["Content-Length"]
      ]]))
      for _, status in ipairs({ "204 No Content", "304 Not Modified" }) do
        assert.same({ "", false }, run(says("HTTP/1.1 " .. status .. "\r\nContent-Length: 5\r\n\r\n"), [[
          local res = assert(httpc:request_uri(url))
          return res.body, res.has_body
        ]]))
      end
    end)

    it("carries big bodies both ways", function()
      local peer = start({ answer = function(request)
        return { body = request.body .. request.body }
      end })
      assert.same({ 6000000, true }, run(peer, [[
        local res = assert(httpc:request_uri(url, { method = "POST", body = ("x"):rep(3000000) }))
        return #res.body, res.body == ("x"):rep(6000000)
      ]]))
    end)

    it("reads a body that ends with the connection, and passes over interim responses", function()
      assert.same({ "all of it", 2 }, run(says("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall of it"), [[
        local res = assert(httpc:request_uri(url, { keepalive = false }))
        return res.body, (httpc:set_keepalive()) or 2
      ]]))
    end)

    it("speaks HTTP/1.0", function()
      local peer = start()
      run(peer, "return httpc:request_uri(url, { version = 1.0 }).status")
      assert.same({ "GET / HTTP/1.0", "Keep-Alive" }, { peer:last().start, peer:last():header("connection") })
    end)

    for what, case in pairs({
      ["nothing listens"] = { "http://127.0.0.1:" .. upstream.refused_port(), "{}", "connection refused" },
      ["the URI is none"] = { "127.0.0.1/x", "{}", "bad uri: 127.0.0.1/x" },
      ["the scheme is another"] = { "ftp://127.0.0.1/x", "{}", "bad uri: ftp://127.0.0.1/x" },
      ["a field could end the head"] = { false, "{ headers = { a = 'b\\r\\nc: d' } }", "invalid header field 'a'" },
      ["a path could end the line"] = { false, "{ path = '/ HTTP/1.1\\r\\n' }", "invalid path: it has control characters" },
      ["a function has no length"] = { false, "{ body = function() end }",
        "a body that is a function needs a Content-Length, or Transfer-Encoding: chunked and to encode itself so" },
      ["a function gives less"] = { false, "{ body = function() end, headers = { ['Content-Length'] = 2 } }",
        "the body has less than the Content-Length of 2 bytes" },
    }) do
      it("says why when " .. what, function()
        assert.same({ null, case[3] }, run(start(), ("return httpc:request_uri(%s, %s)"):format(
          case[1] and ("%q"):format(case[1]) or "url", case[2])))
      end)
    end

    it("says why when the answer is wrong at any byte", function()
      for bytes, why in pairs({
        ["HTTP/1.1 2"] = "closed",
        ["HTTP/1.1 200 OK\r\nContent-Len"] = "closed",
        ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"] = "closed",
        ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"] = "closed",
        ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"] = "closed",
        ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"] = "malformed chunk size: zz",
        ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n"] = "malformed chunk: longer than its size",
        ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"] = "malformed Content-Length",
        ["HTTP/1.1 200 OK\r\nno colon\r\n\r\n"] = "malformed header line: no colon",
        ["SSH-2.0-x\r\n"] = "malformed status line: SSH-2.0-x",
      }) do
        assert.same({ null, why }, { unpack(run(says(bytes), "return httpc:request_uri(url)"), 1, 2) })
      end
    end)

    it("gives up after its timeouts", function()
      local silent = start({ script = function(c)
        c:read_request()
        pcall(c.wait_closed, c, 4 * sched.limit)
      end })
      assert.same({ null, "timeout" }, run(silent, "httpc:set_timeouts(1000, 1000, 50) return httpc:request_uri(url)"))
      local hole = upstream.blackhole()
      peers[#peers + 1] = hole
      assert.same({ null, "timeout" }, script.run(gw, [[
        local httpc = require("resty.http").new()
        httpc:set_timeouts(50)
        return httpc:request_uri("http://127.0.0.1:%d/")
      ]], hole.port))
    end)
  end)

  describe("request", function()
    local CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
      .. "5\r\nhello\r\n7;ext=1\r\n world!\r\n0\r\nX-Sum: 12\r\nContent-Type: text/late\r\n\r\n"

    it("gives chunks as they come, or pieces of at most a size, then the trailers", function()
      local peer = says(CHUNKED, "open")
      assert.same({ "hello| world!", "hel|lo| wo|rld|!", "12", null, 1, 1 }, run(peer, [[
        local function read(size)
          local res = assert(httpc:request({ path = "/" }))
          local out = {}
          repeat
            local piece = res.body_reader(size)
            out[#out + 1] = piece
          until not piece
          return table.concat(out, "|"), res
        end
        connect()
        local whole, res = read()
        local before = res.headers["X-Sum"]
        res:read_trailers()
        local sum = res.headers["x-sum"]
        local pieces = read(3)
        return whole, pieces, sum, before, #{ httpc:get_reused_times() }, (httpc:set_keepalive())
      ]]))
      assert.same(1, #peer.connections)
    end)

    it("gives counted bodies whole or in pieces", function()
      local peer = says("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcdefg", "open")
      assert.same({ "abcdefg", "abc", "def", "g", "defg" }, run(peer, [[
        connect()
        local a = assert(httpc:request({})).body_reader()
        local read = assert(httpc:request({})).body_reader
        local b, c, d, e = read(3), read(3), read(3), read(3)
        assert(e == nil)
        local res = assert(httpc:request({}))
        res.body_reader(3)
        return a, b, c, d, (res:read_body())
      ]]))
    end)

    it("keeps no connection with an unread body, nor one that is to be closed", function()
      local peer = says("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabcdefg", "open")
      assert.same({ "the response before was not read to its end", 2, "connection must be closed" }, run(peer, [[
        connect()
        assert(httpc:request({}))
        local why = select(2, httpc:request({}))
        return why, httpc:set_keepalive()
      ]]))
      assert.same({ 2, "connection must be closed", 1 }, run(peer, [[
        local function keep(fields)
          connect()
          assert(httpc:request({ headers = fields })):read_body()
          return httpc:set_keepalive(1000, 2)
        end
        local a, b = keep({ Connection = "close" })
        return a, b, keep()
      ]]))
      local closing = says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", "open")
      assert.same({ 2 }, run(closing, "connect() assert(httpc:request({})) return (httpc:set_keepalive())"))
    end)

    it("pools connections under their own names", function()
      assert.same({ 0, 1, 0 }, run(start(), [[
        local function times(pool)
          assert(httpc:connect({ scheme = "http", host = "127.0.0.1", port = port, pool = pool, pool_size = 4 }))
          local n = httpc:get_reused_times()
          assert(httpc:request({})):read_body()
          assert(httpc:set_keepalive() == 1)
          return n
        end
        return times(), times(), times("other")
      ]]))
    end)

    it("waits with the body for 100 Continue, and sends none when that does not come", function()
      local peer = start({ script = function(c)
        local head = c:read_through("\r\n\r\n")
        c:send("HTTP/1.1 100 Continue\r\n\r\n")
        local body = c:read(4)
        c:send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" .. (head:find("\r\n\r\n$") and body))
      end })
      local text = [[
        connect()
        local res = assert(httpc:request({ method = "POST", body = "text", headers = { Expect = "100-continue" } }))
        return res.status, res:read_body(), (httpc:set_keepalive())
      ]]
      assert.same({ 200, "text", 1 }, run(peer, text))
      local refuses = start({ script = function(c)
        c:read_through("\r\n\r\n")
        c:send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        assert.same("", c:read_all())
      end })
      assert.same({ 413, "no", 2 }, run(refuses, text))
    end)

    it("connects over unix sockets", function()
      local path = certs.dir() .. "/resty-http.sock"
      local server = assert(unix())
      assert(server:bind(path))
      assert(server:listen())
      server:settimeout(0)
      local task = sched.spawn(function()
        sched.readable(server, sched.limit)
        local sock = assert(server:accept())
        sock:settimeout(0)
        local head = ""
        while not head:find("\r\n\r\n", 1, true) do
          sched.readable(sock, sched.limit)
          local data, _, partial = sock:receive(8192)
          head = head .. (data or partial)
        end
        sock:send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix")
        sched.readable(sock, 3600)
      end)
      local got = script.run(gw, [[
        local httpc = require("resty.http").new()
        assert(httpc:connect({ host = "unix:%s" }))
        local _, why = httpc:request({})
        local res = assert(httpc:request({ headers = { Host = "local" } }))
        return why, res:read_body(), (httpc:set_keepalive())
      ]], path)
      sched.stop(task)
      server:close()
      assert.same({ "a Host header is needed for a connection to a unix domain socket", "unix", 1 }, got)
    end)

    it("connects the old way", function()
      local peer = start()
      assert.same({ 1, 200 }, run(peer, [[
        local ok = httpc:connect("127.0.0.1", port)
        return ok, httpc:request({ path = "/" }).status
      ]]))
    end)

    it("pipelines", function()
      local peer = start()
      assert.same({ "/b", "/c", "the response before was not read to its end", "/d", 1 }, run(peer, [[
        connect()
        local all = assert(httpc:request_pipeline({ { path = "/b" }, { path = "/c" }, { path = "/d" } }))
        local out = {}
        for i = 1, 2 do
          assert(all[i].status == 200)
          if i == 2 then assert(all[3].status == nil) out[3] = all[3].err end
          out[i] = cjson.decode(all[i]:read_body()).target
        end
        assert(all[3].status == 200)
        return out[1], out[2], out[3], cjson.decode(all[3]:read_body()).target, (httpc:set_keepalive())
      ]]))
    end)
  end)

  describe("over TLS", function()
    local ASK = [[
      local res, err = httpc:request_uri(url, { ssl_server_name = %s, ssl_verify = %s })
      return res and res.status, err
    ]]

    it("verifies unless told not to", function()
      local peer = start({ tls = true })
      assert.same({ 200, null }, run(peer, ASK:format("'upstream.test'", "nil")))
      assert.same({ null, "certificate host mismatch" }, run(peer, ASK:format("'other.test'", "nil")))
      assert.same({ 200, null }, run(peer, ASK:format("'other.test'", "false")))
      local own = certs.make("resty-self", { "upstream.test" }, { self = true })
      local stranger = start({ tls = { key = own.key, certificate = own.certificate } })
      local status, why = unpack(run(stranger, ASK:format("'upstream.test'", "true")))
      assert.same(null, status)
      assert.matches("self.signed certificate", why)
    end)

    it("never uses an unverified connection for a verified one", function()
      local peer = start({ tls = true })
      run(peer, ASK:format("'upstream.test'", "false"))
      run(peer, ASK:format("'upstream.test'", "true"))
      run(peer, ASK:format("'upstream.test'", "true"))
      assert.same({ 1, 2, 2 }, { peer.requests[1].conn_index, peer.requests[2].conn_index, peer.requests[3].conn_index })
    end)

    it("shows a client certificate", function()
      local mine = certs.pair("client.test")
      local peer = start({ tls = { cafile = certs.ca(), verify = { "peer", "fail_if_no_peer_cert" } } })
      assert.same({ 200 }, run(peer, ([[
        local ssl = require "ngx.ssl"
        local function file(path) local f = assert(io.open(path)) local text = f:read("*a") f:close() return text end
        local res = assert(httpc:request_uri(url, { ssl_server_name = "upstream.test",
          ssl_client_cert = ssl.parse_pem_cert(file(%q)), ssl_client_priv_key = ssl.parse_pem_priv_key(file(%q)) }))
        return res.status
      ]]):format(mine.certificate, mine.key)))
    end)

    it("shakes hands by itself the old way", function()
      local peer = start({ tls = true })
      assert.same({ 200 }, run(peer, [[
        assert(httpc:connect("127.0.0.1", port))
        assert(httpc:ssl_handshake(nil, "upstream.test", true))
        return httpc:request({ headers = { Host = "upstream.test" } }).status
      ]]))
    end)
  end)

  describe("through a proxy", function()
    it("asks for absolute URIs, with its credentials", function()
      local proxy = start()
      assert.same({ "http://app.test/x?q=1", "app.test", "Basic abc" }, run(proxy, [[
        httpc:set_proxy_options({ http_proxy = url, http_proxy_authorization = "Basic abc" })
        local seen = cjson.decode(assert(httpc:request_uri("http://app.test/x?q=1")).body)
        return seen.target, seen.headers.host, seen.headers["proxy-authorization"]
      ]]))
    end)

    it("goes straight to hosts of no_proxy", function()
      local peer = start()
      assert.same({ "/" }, run(peer, [[
        httpc:set_proxy_options({ http_proxy = "http://127.0.0.1:1", no_proxy = "a.test, 127.0.0.1" })
        local res = assert(httpc:request_uri(url))
        return cjson.decode(res.body).target
      ]]))
    end)

    it("asks for a tunnel to https", function()
      local heads = {}
      local proxy = start({ script = function(c)
        heads[#heads + 1] = c:read_through("\r\n\r\n")
        if #heads == 1 then
          return c:send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        end
        c:send("HTTP/1.1 200 Connection established\r\n\r\n")
        local pair = certs.pair("upstream.test")
        assert(c:start_tls({ mode = "server", key = pair.key, certificate = pair.certificate }))
        c:read_request()
        c:send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
      end })
      local text = [[
        local res, err = httpc:request_uri("https://upstream.test/x", { proxy_opts = { https_proxy = url,
          https_proxy_authorization = "Basic abc" } })
        return res and res.body, err
      ]]
      assert.same({ null, "failed to establish a tunnel through a proxy: 403" }, run(proxy, text))
      assert.same({ "secret", null }, run(proxy, text))
      assert.same("CONNECT upstream.test:443 HTTP/1.1\r\nHost: upstream.test:443\r\nProxy-Authorization: Basic abc\r\n\r\n",
        heads[2])
      assert.same("GET /x HTTP/1.1", proxy:last().start)
    end)

    it("cannot use proxies over TLS", function()
      assert.same({ null, "protocol https not supported for proxy connections" }, run(start(),
        [[return httpc:request_uri(url, { proxy_opts = { http_proxy = "https://127.0.0.1:1" } })]]))
    end)
  end)

  describe("for the client's request", function()
    local PROXY = [[
      local httpc = require("resty.http").new()
      assert(httpc:connect({ scheme = "http", host = "127.0.0.1", port = %d }))
      %s
    ]]

    it("reads its body piece by piece", function()
      local response = script.request(gw, [[
        local read = require("resty.http").new():get_client_body_reader(4)
        local out = {}
        for piece in read do out[#out + 1] = piece end
        kong.response.exit(200, table.concat(out, "|"))
      ]], { method = "POST", body = "0123456789" })
      assert.same("0123|4567|89", response.body)
      assert.same("nil nil", script.request(gw, [[
        local read, err = require("resty.http").new():get_client_body_reader()
        kong.response.exit(200, tostring(read) .. " " .. tostring(err))
      ]]).body)
    end)

    it("sends it on and answers with what comes back", function()
      local peer = start({ answer = function(request)
        return { status = 201, headers = { ["X-Kept"] = "yes" }, body = request.target .. " " .. request.body }
      end })
      local response = script.request(gw, PROXY:format(peer.port, [[
        httpc:proxy_response(assert(httpc:proxy_request()))
        httpc:set_keepalive()
        return ngx.exit(ngx.status)
      ]]), { method = "PUT", path = "/a%20b%3Fc?q=1", body = ("x"):rep(100000) })
      assert.same({ 201, "yes" }, { response.status, response:header("x-kept") })
      assert.same("/a%20b%3Fc?q=1 " .. ("x"):rep(100000), response.body)
      assert.same("PUT", peer:last().method)
    end)
  end)

  it("takes URIs apart", function()
    assert.same({
      { "http", "a.test", 80, "/", "" }, { "https", "a.test", 443, "/p?q=1", "" }, { "https", "[::1]", 8443, "/p", "q=1&r" },
      { "http", "a.test", 81, "/x", "" }, null, "bad uri: http://u:p@a.test/",
    }, script.run(gw, [[
        local httpc = require("resty.http").new()
        return httpc:parse_uri("http://a.test"), httpc:parse_uri("HTTPS://a.test/p?q=1"),
          httpc:parse_uri("https://[::1]:8443/p?q=1&r#f", false), (httpc:parse_uri("//a.test:81/x")),
          httpc:parse_uri("http://u:p@a.test/")
      ]]))
  end)

  it("finds header fields in any case and keeps their spelling", function()
    assert.same({ "1", "1", "2", "X-One", 1, null }, script.run(gw, [[
      local fields = require("resty.http_headers").new()
      fields["X-One"] = "1"
      local a, b = fields["x-one"], fields["X-ONE"]
      fields["x-oNe"] = "2"
      local names = {}
      for name in pairs(fields) do names[#names + 1] = name end
      local c = fields["X-ONE"]
      fields["x-one"] = nil
      return a, b, c, names[1], #names, fields["X-One"]
    ]]))
  end)

  it("gives way to a copy of the user's own in lua_path", function()
    local dir = certs.dir() .. "/own-libraries"
    assert(lfs.mkdir(dir) and lfs.mkdir(dir .. "/resty"))
    local file = assert(io.open(dir .. "/resty/http.lua", "w"))
    file:write([[return { _VERSION = "the user's" }]])
    file:close()
    local mine, mine_up = script.start({ settings = { lua_path = dir .. "/?.lua", trusted_plugins = "script" } })
    local got = script.run(mine, [[return require("resty.http")._VERSION]])
    script.stop(mine, mine_up)
    assert.same({ "the user's" }, got)
  end)
end)
