-- tcp-log, udp-log, loggly and syslog in a gateway, to listeners that go away and come back.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local socket = require("socket")
local unix = require("socket.unix")
local upstream = require("e2e.support.upstream")

local gw, up, server

local function start(name, config, opts)
  opts = opts or {}
  opts.route = ("plugins:\n- name: %s\n  config: %s"):format(name, config)
  gw, up = site.start(opts)
end

local function uris(lines)
  local out = {}
  for i, line in ipairs(lines) do
    out[i] = cjson.decode(line).request.uri
  end
  return out
end

local function ask(...)
  for _, path in ipairs({ ... }) do
    assert.status(200, client.get(gw, path))
  end
end

-- A listener whose datagrams are gathered in .got.
local function datagrams(sock)
  local self = { got = {} }
  sock:settimeout(0)
  self.task = sched.spawn(function()
    while true do
      local text = sock:receive()
      if text then
        self.got[#self.got + 1] = text
      else
        sched.readable(sock, 3600)
      end
    end
  end)
  function self.stop()
    sched.stop(self.task)
    sock:close()
  end
  return self
end

local function wait_got(n)
  sched.wait_until(function() return #server.got >= n end, nil, function()
    return ("%d of %d messages\n%s"):format(#server.got, n, gw:errors())
  end)
  return server.got
end

after_each(function()
  site.stop(gw, up)
  gw, up = nil, nil
  if server then
    server:stop()
    server = nil
  end
end)

describe("tcp-log", function()
  -- A server that gathers lines; connections are in .connections.
  local function listen(opts)
    opts = opts or {}
    local got = {}
    opts.script = function(c)
      while true do
        local line = c:read_through("\r\n", 3600)
        if not line then
          return
        end
        got[#got + 1] = line
      end
    end
    server = upstream.start(opts)
    server.got = got
    return server
  end

  it("writes a line for each request over one connection", function()
    listen()
    start("tcp-log", ("{host: 127.0.0.1, port: %d, custom_fields_by_lua: {n: 'return 7'}}"):format(server.port))
    for i = 1, 5 do
      ask("/" .. i)
      wait_got(i)
    end
    assert.same({ "/1", "/2", "/3", "/4", "/5" }, uris(server.got))
    assert.same(7, cjson.decode(server.got[1]).n)
    assert.same(1, #server.connections)
  end)

  it("sends what waits when the server comes back", function()
    listen()
    local port = server.port
    server:stop()
    start("tcp-log", ("{host: 127.0.0.1, port: %d}"):format(port))
    ask("/1", "/2")
    gw:wait_log("tcp%-log.*connection refused")
    listen({ port = port })
    wait_got(2)
    assert.same({ "/1", "/2" }, uris(server.got))
  end)

  it("speaks TLS", function()
    listen({ tls = true })
    start("tcp-log", ("{host: 127.0.0.1, port: %d, tls: true, tls_sni: upstream.test, ssl_verify: false}"):format(
      server.port))
    ask("/1", "/2")
    wait_got(2)
  end)
end)

describe("udp-log", function()
  local function listen(port)
    local sock = assert(socket.udp4())
    assert(sock:setsockname("127.0.0.1", port or 0))
    server = datagrams(sock)
    server.port = tonumber((select(2, sock:getsockname())))
  end

  it("sends a datagram for each request, also to a name", function()
    listen()
    start("udp-log", ("{host: localhost, port: %d}"):format(server.port))
    ask("/1", "/2", "/3")
    local got = uris(wait_got(3))
    assert.same({ "/1", "/2", "/3" }, got)
  end)

  it("does not mind that nobody listens", function()
    start("udp-log", "{host: 127.0.0.1, port: " .. upstream.refused_port() .. "}")
    ask("/1", "/2", "/3")
  end)
end)

describe("loggly", function()
  it("sends what is severe enough, by the response's status, as RFC 5424 with the key", function()
    local sock = assert(socket.udp4())
    assert(sock:setsockname("127.0.0.1", 0))
    local _, port = sock:getsockname()
    server = datagrams(sock)
    start("loggly", ("{host: 127.0.0.1, port: %d, key: a-key, tags: [one, two], log_level: warning, "
      .. "successful_severity: info, client_errors_severity: warning}"):format(port))
    up:answer(function(request)
      return { status = request.target == "/missing" and 404 or 200, body = "" }
    end)
    client.get(gw, "/fine")
    assert.status(404, client.get(gw, "/missing"))
    local text = wait_got(1)[1]
    local head, record = text:match("^(%S+ %S+ %S+ %S+ %- %- %b[]) (.*)$")
    assert.matches('^<12>1 %d+%-%d%d%-%d%dT%d%d:%d%d:%d%dZ %S+ kong %- %- %[a%-key@41058 tag="one" tag="two"%]$', head)
    assert.same({ 404, "/missing" }, { cjson.decode(record).response.status, cjson.decode(record).request.uri })
    assert.same(1, #server.got)
  end)
end)

describe("syslog", function()
  local path

  local function listen()
    local sock = assert(unix.dgram())
    assert(sock:bind(path))
    server = datagrams(sock)
  end

  before_each(function()
    path = os.tmpname()
    os.remove(path)
  end)

  after_each(function()
    os.remove(path)
  end)

  it("sends messages to the local socket", function()
    listen()
    start("syslog", "{facility: local7, server_errors_severity: err}", { env = { MOONGATE_SYSLOG_SOCKET = path } })
    ask("/1")
    up:answer({ status = 500, body = "" })
    client.get(gw, "/2")
    local got = wait_got(2)
    assert.matches("^<190>%a%a%a [ %d]%d %d%d:%d%d:%d%d kong%[%d+%]: {", got[1])
    assert.matches("^<187>", got[2])
    assert.same({ "/1", "/2" }, uris({ got[1]:match("{.*"), got[2]:match("{.*") }))
  end)

  it("waits for a log that is restarted", function()
    start("syslog", "{}", { env = { MOONGATE_SYSLOG_SOCKET = path } })
    ask("/1")
    gw:wait_log("syslog.*trying again")
    listen()
    wait_got(1)
  end)
end)
