-- Plugins in the real gateway: phases and their errors, waits, cosockets, libraries written for OpenResty.
-- The plugin `probe` runs the Lua text of its configuration, phase by phase; `seen` is shared by its requests.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local process = require("e2e.support.process")
local sched = require("e2e.support.sched")
local upstream = require("e2e.support.upstream")

local HANDLER = [[
local probe = { PRIORITY = 10, VERSION = "1.0.0" }
local seen, fns = {}, {}
for _, name in ipairs({ "rewrite", "access", "header_filter", "body_filter", "log" }) do
  probe[name] = function(self, conf)
    local text = conf[name]
    if text then
      fns[text] = fns[text] or assert(loadstring("local conf, seen = ... " .. text, "=" .. name))
      return fns[text](conf, seen)
    end
  end
end
return probe
]]

local SCHEMA = [[
local fields = {}
for i, name in ipairs({ "rewrite", "access", "header_filter", "body_filter", "log" }) do
  fields[i] = { [name] = { type = "string" } }
end
return { name = "probe", fields = { { config = { type = "record", fields = fields } } } }
]]

-- A second plugin, which runs after the first in every phase and marks that it did.
local WITNESS = [[
local witness = { PRIORITY = 1, VERSION = "1.0.0" }
function witness:access() kong.service.request.set_header("x-witness", "access") end
function witness:log() ngx.log(ngx.WARN, "witness logged ", ngx.status) end
return witness
]]

local function config(port, routes)
  local out = { _format_version = "3.0", services = { { name = "up", url = "http://127.0.0.1:" .. port, routes = {} } } }
  for name, phases in pairs(routes) do
    table.insert(out.services[1].routes, {
      name = name,
      paths = { "/" .. name },
      plugins = { { name = "probe", config = phases }, { name = "witness" } },
    })
  end
  return {
    ["kong.json"] = cjson.encode(out),
    ["plugins/probe/handler.lua"] = HANDLER,
    ["plugins/probe/schema.lua"] = SCHEMA,
    ["plugins/witness/handler.lua"] = WITNESS,
    ["plugins/witness/schema.lua"] = [[return { name = "witness", fields = { { config = { type = "record", fields = {} } } } }]],
  }
end

describe("a plugin in the gateway", function()
  local up, gw

  local function start(routes)
    gw = gateway.start({ config = config(up.port, routes) })
  end

  before_each(function()
    up = upstream.start()
  end)

  after_each(function()
    gw:stop()
    up:stop()
  end)

  it("sees and changes the request on its way", function()
    start({ a = { access = [[
      kong.service.request.set_header("x-seen", kong.request.get_path() .. kong.request.get_query_arg("q"))
      ngx.ctx.word = "kept"
    ]], header_filter = [[kong.response.set_header("x-word", ngx.ctx.word)]] } })
    local response = client.get(gw, "/a?q=1")
    assert.status(200, response)
    assert.same("/a1", response:json().headers["x-seen"])
    assert.same("access", response:json().headers["x-witness"])
    assert.same("kept", response:header("x-word"))
  end)

  it("answers 500 when its access fails, and others still log", function()
    start({ a = { access = [[error("boom")]] } })
    gw:expect_error("boom")
    local response = client.get(gw, "/a")
    assert.status(500, response)
    assert.truthy(response.body:find("An unexpected error occurred", 1, true))
    assert.same(0, #up.requests)
    assert.truthy(gw:wait_log("plugin \"probe\", access phase: .*boom"):find("request_id", 1, true))
    gw:wait_log("witness logged 500")
  end)

  it("answers 500 when its header_filter fails", function()
    start({ a = { header_filter = [[error("boom")]] } })
    gw:expect_error("boom")
    assert.status(500, client.get(gw, "/a"))
  end)

  it("cuts the response when its body_filter fails", function()
    start({ a = { body_filter = [[error("boom")]] } })
    gw:expect_error("boom")
    local ok, err = pcall(client.get, gw, "/a")
    assert.is_false(ok)
    assert.truthy(tostring(err):find("inside a message", 1, true))
  end)

  it("does not keep others from logging when its log fails", function()
    start({ a = { log = [[error("boom")]] } })
    gw:expect_error("boom")
    assert.status(200, client.get(gw, "/a"))
    gw:wait_log("witness logged 200")
  end)

  it("changes bodies chunk by chunk", function()
    start({ a = { header_filter = [[ngx.header.content_length = nil]],
      body_filter = [[ngx.arg[1] = ngx.arg[1]:upper() .. (ngx.arg[2] and "!" or "")]] } })
    up:answer(function()
      return { body = "hello" }
    end)
    assert.same("HELLO!", client.get(gw, "/a").body)
  end)

  it("streams a response of its own", function()
    start({ a = { access = [[
      ngx.header["Content-Type"] = "text/plain"
      ngx.say("one ", {2, " ", {true}}) ngx.flush(true) ngx.sleep(0.02) ngx.print("two") return ngx.exit(200)
    ]] } })
    local response = client.get(gw, "/a")
    assert.status(200, response)
    assert.same("one 2 true\ntwo", response.body)
    assert.same(0, #up.requests)
  end)

  it("waits in generators and is left by exit from inside them", function()
    start({ a = { access = [[
      local gen = coroutine.wrap(function()
        for i = 1, 3 do ngx.sleep(0.002) coroutine.yield(i) end
        ngx.exit(418)
      end)
      local sum = 0
      for v in gen do sum = sum + v seen.sum = sum end
      seen.after = true
    ]] }, b = { access = [[kong.response.exit(200, {sum = seen.sum, after = seen.after})]] } })
    assert.status(418, client.get(gw, "/a"))
    assert.same({ sum = 6 }, client.get(gw, "/b"):json())
  end)

  it("stops when its client goes while it waits", function()
    start({ a = { access = [[seen.began = true ngx.sleep(0.2) seen.after = true]] },
      b = { access = [[kong.response.exit(200, {began = seen.began, after = seen.after})]] } })
    local c = client.connect(gw)
    c:write({ path = "/a" })
    sched.wait_until(function()
      return client.get(gw, "/b"):json().began
    end)
    c:close()
    gw:wait_log("witness logged 499")
    sched.sleep(0.3)
    assert.same({ began = true }, client.get(gw, "/b"):json())
  end)

  it("reads lines, counts and patterns however the bytes are cut", function()
    local text = "first line\r\n12345middle--end--rest"
    up:on(function(c)
      c:read_through("\r\n\r\n")
      for i = 1, #text do
        c:send(text:sub(i, i))
        c:sleep(0.001)
      end
    end)
    start({ a = { access = ([[
      local sock = ngx.socket.tcp()
      sock:settimeout(2000)
      assert(sock:connect("127.0.0.1", %d))
      assert(sock:send({"GET / HTTP/1.1\r\n", {"Host: x", "\r\n\r\n"}}))
      local line, digits = sock:receive(), sock:receive(5)
      local until_end = sock:receiveuntil("--end--")
      local part, rest = until_end(3), nil
      local next_part, last = until_end(10), until_end(10)
      rest = sock:receive("*a")
      local data, err, partial = sock:receive()
      kong.response.exit(200, {line, digits, part, next_part, tostring(last), rest, tostring(data), err, tostring(partial)})
    ]]):format(up.port) } })
    assert.same({ "first line", "12345", "mid", "dle", "nil", "rest", "nil", "closed", "" }, client.get(gw, "/a"):json())
  end)

  it("keeps connections alive in pools and reuses them", function()
    start({ a = { access = ([[
      local sock = ngx.socket.tcp()
      assert(sock:connect("127.0.0.1", %d))
      local times = sock:getreusedtimes()
      assert(sock:send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
      local length
      repeat
        local line = assert(sock:receive("*l"))
        length = line:match("^[Cc]ontent%%-[Ll]ength: (%%d+)") or length
      until line == ""
      assert(sock:receive(tonumber(length)))
      assert(sock:setkeepalive(1000, 10))
      local closed, err = sock:receive()
      kong.response.exit(200, {times, tostring(closed), err})
    ]]):format(up.port) } })
    assert.same({ 0, "nil", "closed" }, client.get(gw, "/a"):json())
    assert.same({ 1, "nil", "closed" }, client.get(gw, "/a"):json())
    assert.same({ 2, "nil", "closed" }, client.get(gw, "/a"):json())
    assert.same(1, #up.connections)
  end)

  it("is told of refused connections, timeouts and names that do not exist", function()
    local refused = upstream.refused_port()
    up:on(function(c)
      c:sleep(5)
    end)
    start({ a = { access = ([[
      local out = {}
      local sock = ngx.socket.tcp()
      out[1] = select(2, sock:connect("127.0.0.1", %d))
      assert(sock:connect("127.0.0.1", %d))
      sock:settimeouts(100, 100, 20)
      out[2] = select(2, sock:receive())
      out[3] = select(2, ngx.socket.tcp():connect("no-such-host.invalid", 80))
      kong.response.exit(200, out)
    ]]):format(refused, up.port) } })
    local got = client.get(gw, "/a"):json()
    assert.same("connection refused", got[1])
    assert.same("timeout", got[2])
    assert.truthy(got[3]:find("could not be resolved", 1, true))
  end)

  it("closes its sockets when its client goes", function()
    local closed
    up:on(function(c)
      c:read_through("\r\n\r\n")
      closed = c:wait_closed()
    end)
    start({ a = { access = ([[
      local sock = ngx.socket.tcp()
      assert(sock:connect("127.0.0.1", %d))
      sock:send("GET / HTTP/1.1\r\n\r\n")
      sock:receive()
    ]]):format(up.port) } })
    local c = client.connect(gw)
    c:write({ path = "/a" })
    sched.wait_until(function()
      return #up.connections > 0
    end)
    c:close()
    sched.wait_until(function()
      return closed
    end)
  end)

  it("uses lua-resty-redis unmodified", function()
    local port = upstream.refused_port()
    local redis = process.start({
      program = "redis-server",
      args = { "--port", tostring(port), "--save", "", "--bind", "127.0.0.1" },
      stdout = "/dev/null",
      stderr = "/dev/null",
    })
    start({ a = { access = ([[
      local redis = require("resty.redis"):new()
      redis:set_timeout(1000)
      assert(redis:connect("127.0.0.1", %d))
      redis:init_pipeline()
      redis:set("k", "v") redis:incr("n") redis:get("k") redis:get("none")
      local got = assert(redis:commit_pipeline())
      assert(redis:set_keepalive(1000, 4))
      kong.response.exit(200, {got[1], got[2], got[3], got[4] == ngx.null})
    ]]):format(port) } })
    sched.wait_until(function()
      local c = pcall(client.connect, port)
      return c
    end)
    local response = client.get(gw, "/a")
    redis:signal("KILL")
    redis:wait()
    assert.same({ "OK", 1, "v", true }, response:json())
  end)

  it("runs timers after the request, without one", function()
    start({ a = { access = [[
      ngx.timer.at(0, function(premature, word)
        ngx.sleep(0.001)
        local ok, err = pcall(ngx.say, "x")
        ngx.log(ngx.WARN, "timer: ", word, " ", tostring(premature), " ", tostring(ok))
      end, "hello")
    ]] } })
    assert.status(200, client.get(gw, "/a"))
    gw:wait_log("timer: hello false false")
  end)

  -- Expressions and the JSON of their results.
  local EXPRESSIONS = {
    { [[ngx.re.match("hello, 1234", "([0-9])[0-9]+")[0] ]], "1234" },
    { [[ngx.re.match("hello, 1234", "(?<first>[0-9])[0-9]+").first]], "1" },
    { [[{ngx.re.find("hello, 1234", "([0-9]+)", "jo", nil, 1)}]], { 8, 11 } },
    { [[{ngx.re.gsub("hello, world", "([a-z])[a-z]+", "[$0,${1}$$]")}]], { "[hello,h$], [world,w$]", 2 } },
    { [[{ngx.re.gsub("abc", "", "-")}]], { "-a-b-c-", 4 } },
    { [[{ngx.re.sub("aXbX", "x", function(m) return m[0]:lower() .. "!" end, "i")}]], { "ax!bX", 1 } },
    { [[select(3, ngx.re.sub("a", "(", "")) ~= nil]], true },
    { [[(function() local out = {} for m in ngx.re.gmatch("a1b22", "[0-9]+") do out[#out + 1] = m[0] end return out end)()]],
      { "1", "22" } },
    { [[tostring(ngx.re.match("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "^(a+)+$"))]], "nil" },
    { [[require("ngx.re").split("a,b,,c", ",")]], { "a", "b", "", "c" } },
    { [[ngx.escape_uri("a b/é?")]], "a%20b%2F%C3%A9%3F" },
    { [[ngx.unescape_uri("a%20b+c%zz")]], "a b c%zz" },
    { [[ngx.encode_args({a = {1, "x y"}})]], "a=1&a=x%20y" },
    { [[ngx.decode_args("a=1&b&c=&a=2")]], { a = { "1", "2" }, b = true, c = "" } },
    { [[{ngx.encode_base64("hello?>"), ngx.decode_base64("aGVsbG8/Pg=="), ngx.encode_base64("a", true)}]],
      { "aGVsbG8/Pg==", "hello?>", "YQ" } },
    { [[require("ngx.base64").encode_base64url("hello?>")]], "aGVsbG8_Pg" },
    { [[ngx.md5("abc")]], "900150983cd24fb0d6963f7d28e17f72" },
    { [[ngx.encode_base64(ngx.hmac_sha1("key", "text"))]], "Np4pWetJRQM4shJ0j3fY3tdIR7s=" },
    { [[ngx.crc32_long("hello")]], 907060870 },
    { [[ngx.http_time(1547166552)]], "Fri, 11 Jan 2019 00:29:12 GMT" },
    { [[ngx.parse_http_time("Fri, 11 Jan 2019 00:29:12 GMT")]], 1547166552 },
    { [[ngx.cookie_time(1547166552)]], "Fri, 11-Jan-19 00:29:12 GMT" },
    { [[require("cjson").encode({a = setmetatable({}, require("cjson").empty_array_mt)})]], [[{"a":[]}]] },
    { [[require("resty.lrucache").new(2):get("none") == nil]], true },
    { [[{table.pack(1, nil, 3).n, table.unpack({1, 2})}]], { 3, 1, 2 } },
    { [[ngx.null == require("cjson").null]], true },
    { [[{pcall(ngx.location.capture, "/x")}]],
      { false, "ngx.location.capture is not supported by this gateway: there are no subrequests; ask over ngx.socket.tcp "
        .. "or a client library" } },
    { [[{ngx.var.request_method, ngx.var.arg_q, ngx.var.http_x_a, tostring(ngx.var.nothing)}]], { "GET", "1", "b", "nil" } },
    { [[(function() local s = require("ngx.semaphore").new(1) return {s:count(), s:wait(0), (select(2, s:wait(0.001)))} end)()]],
      { 1, true, "timeout" } },
  }

  it("shares dictionaries", function()
    start({ a = { access = [[
      local d = ngx.shared.kong
      local out = {}
      out[1] = { (d:set("a", "text", 0.02)), (d:get("a")), (d:add("a", 1)) }
      out[2] = { (d:incr("n", 2, 40)), (d:incr("n", 1)) }
      out[3] = { tostring((d:get("none"))), (select(2, d:incr("none", 1))), (select(2, d:add("a", 1))) }
      ngx.sleep(0.04)
      out[4] = { tostring((d:get("a"))), (d:get_stale("a")) }
      out[5] = { d:rpush("l", "x"), d:lpush("l", 1), d:llen("l"), d:lpop("l"), (d:rpop("l")) }
      out[6] = { (d:set("b", true)), (d:get("b")), (d:set("b", nil)), tostring((d:get("b"))) }
      out[7] = { (select(2, d:set("", 1))), (pcall(d.set, d, "t", {})), tostring(ngx.shared.no_such) }
      kong.response.exit(200, out)
    ]] } })
    local got = client.get(gw, "/a"):json()
    assert.same({
      { true, "text", false }, { 42, 43 }, { "nil", "not found", "exists" }, { "nil", "text" },
      { 1, 2, 2, 1, "x" }, { true, true, true, "nil" }, { "empty key", true, "nil" },
    }, got)
  end)

  it("has OpenResty's functions", function()
    local parts = {}
    for i, pair in ipairs(EXPRESSIONS) do
      parts[i] = ("out[%d] = %s"):format(i, pair[1])
    end
    start({ a = { access = "local out = {} " .. table.concat(parts, "\n") .. " kong.response.exit(200, out)" } })
    local got = client.get(gw, "/a?q=1", { ["X-A"] = "b" }):json()
    for i, pair in ipairs(EXPRESSIONS) do
      assert.same({ pair[1], pair[2] }, { pair[1], got[i] })
    end
  end)

  for name, text in pairs({
    ["a compiled loop"] = "local n = 0 while true do n = n + 1 end",
    ["a loop over many lines"] = "local n = 0\nwhile true do\nn = n + 1\nif n > 1e9 then\nn = 0\nend\nend",
    ["a loop of calls"] = "local function f(x) return x end while true do f(1) end",
    ["a loop that is not compiled"] = "while true do local f = function() end pcall(f) end",
    ["a loop that catches"] = "pcall(function() while true do end end)",
  }) do
    it("is stopped when it runs away in " .. name, function()
      start({ a = { access = text }, b = { access = "kong.response.exit(200, 'alive')" } })
      gw:expect_error("without waiting")
      local began = sched.now()
      local response = client.get(gw, "/a")
      assert.truthy(sched.now() - began < 1 * sched.slow)
      assert.status(500, response)
      assert.same("alive", client.get(gw, "/b").body)
    end)
  end
end)
