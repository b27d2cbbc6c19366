-- The ngx API in detail, as its documentation has it: results, error texts, odd arguments. What plugins do with it in
-- their phases is in lua_spec.lua, sockets are in cosocket_spec.lua, libraries in libraries_spec.lua.

require("e2e.support.expect")
local cjson = require("cjson")
local script = require("e2e.support.script")

local null = cjson.null

describe("the ngx API", function()
  local gw, up

  setup(function()
    gw, up = script.start({ settings = { lua_shared_dicts = "own 256k, prometheus_metrics 256k" } })
  end)

  teardown(function()
    script.stop(gw, up)
  end)

  local function gives(text, ...)
    assert.same({ ... }, script.run(gw, text))
  end

  local function raises(text, message)
    local got = script.run(gw, "return select(2, pcall(function() " .. text .. " end))")
    assert.truthy(tostring(got[1]):find(message, 1, true), tostring(got[1]))
  end

  it("encodes nil as the empty text", function()
    gives("return ngx.md5(nil) == ngx.md5(''), ngx.sha1_bin(nil) == ngx.sha1_bin(''), ngx.encode_base64(nil), ngx.escape_uri(nil)",
      true, true, "", "")
    gives("return ngx.crc32_short(nil), ngx.crc32_long('hello')", 0, 907060870)
  end)

  it("escapes components and whole URIs", function()
    gives([[return ngx.escape_uri("a/b c?"), ngx.escape_uri("a/b c?#%", 0), ngx.escape_uri("-_.~!*'()", 2)]],
      "a%2Fb%20c%3F", "a/b%20c%3F%23%25", "-_.~!*'()")
    raises([[ngx.escape_uri("a", 1)]], "\"type\" 1 is not supported")
  end)

  it("lets nobody kill a thread that another one waits for", function()
    gives([[
      local why
      local awaited = ngx.thread.spawn(function() ngx.sleep(0.02) return "ended" end)
      ngx.thread.spawn(function() ngx.sleep(0.001) why = select(2, ngx.thread.kill(awaited)) end)
      local ok, what = ngx.thread.wait(awaited)
      return ok, what, why]], true, "ended", "killer not parent")
  end)

  it("names the caller's mistake in times and patterns", function()
    raises("ngx.timer.at(1e10, print)", "delay too large: 1e+10 s")
    raises("ngx.sleep(1 / 0)", 'invalid sleep duration "inf"')
    raises("ngx.http_time(0 / 0)", "nan is no time")
    raises("ngx.cookie_time(1e20)", "1e+20 is no time")
    gives([[return ngx.socket.tcp():receiveuntil("")]], null, "pattern is empty")
  end)

  it("writes JSON arrays as lua-cjson does", function()
    gives([[
      local cjson = require("cjson")
      return cjson.encode({ 1, a = 2 }), cjson.encode({ [1] = 1, [3] = 2 }), cjson.encode({ [2] = 1 }),
        cjson.encode({ [0] = 1 }), cjson.encode({ 1, [2.5] = 2 }), cjson.encode({ {}, { {} } }),
        require("cjson.safe").encode({ 1, [1000] = 2 })]],
      '{"1":1,"a":2}', "[1,null,2]", "[null,1]", '{"0":1}', '{"1":1,"2.5":2}', "[{},[{}]]",
      null, "Cannot serialise table: excessively sparse array")
    gives([[
      local cjson = require("cjson.safe").new()
      local convert, ratio, safe = cjson.encode_sparse_array()
      cjson.encode_sparse_array(true)
      cjson.encode_empty_table_as_object(false)
      return convert, ratio, safe, cjson.encode({ 1, [1000] = {} })]], false, 2, 10, '{"1":1,"1000":[]}')
  end)

  it("reads base64 with line ends of MIME", function()
    gives([[return ngx.decode_base64mime("aGVs\r\nbG8="), ngx.decode_base64mime("aGVsbG8")]], "hello", "hello")
  end)

  it("says where a pattern is wrong and which option it does not know", function()
    gives([[return ngx.re.match("a", "(abc")]], null, [[pcre2_compile() failed: missing closing parenthesis in "(abc"]])
    gives([[return select(2, ngx.re.match("a", "a)b"))]],
      [[pcre2_compile() failed: unmatched closing parenthesis in "a)b" at ")b"]])
    raises([[ngx.re.match("a", "a", "oH")]], [[unknown flag "H" (flags "oH")]])
  end)

  it("shows response headers set before there is a response", function()
    gives([[
      ngx.header["X-A"] = { "1", "2" }
      ngx.header.x_b = "b"
      ngx.header["X-C"] = "c"
      ngx.header["X-C"] = nil
      local all = ngx.resp.get_headers()
      return ngx.header.x_a, ngx.header["x-b"], ngx.header.x_c, all["x-a"], all["X-B"], all["x-c"]
    ]], { "1", "2" }, "b", null, { "1", "2" }, "b", null)
  end)

  it("follows a changed Host", function()
    gives([[ngx.req.set_header("Host", "Other.Test:8080") return ngx.var.host, ngx.var.http_host]], "other.test", "Other.Test:8080")
    gives([[ngx.req.set_header("Host", "[::1]:80") return ngx.var.host]], "[::1]")
  end)

  it("has nginx's variables of clients", function()
    local response = script.request(gw, [[
      kong.response.exit(200, { ngx.var.remote_user, ngx.var.proxy_add_x_forwarded_for,
        ngx.encode_base64(ngx.var.binary_remote_addr), ngx.var.nginx_version, tostring(ngx.var.nothing) })
    ]], { headers = { Authorization = "Basic YW5uOnNlY3JldDp4", ["X-Forwarded-For"] = "10.0.0.1" } })
    assert.same({ "ann", "10.0.0.1, 127.0.0.1", "fwAAAQ==", "1.25.3", "nil" }, response:json())
  end)

  it("gives IPv6 clients 16 bytes of address", function()
    local six, other = script.start({ settings = { trusted_ips = "127.0.0.1" } })
    local response = script.request(six, [[kong.response.exit(200, { ngx.encode_base64(ngx.var.binary_remote_addr) })]],
      { headers = { ["X-Real-IP"] = "2001:db8::1" } })
    script.stop(six, other)
    assert.same({ "IAENuAAAAAAAAAAAAAAAAQ==" }, response:json())
  end)

  it("closes the connection without an answer at ngx.exit(444)", function()
    local ok, err = pcall(script.request, gw, "ngx.exit(444)")
    assert.is_false(ok)
    assert.truthy(tostring(err):find("connection", 1, true), err)
    gw:wait_access(function(entry)
      return entry.response.status == 444
    end)
  end)

  it("refuses sleeps that make no sense", function()
    raises("ngx.sleep(-1)", "invalid sleep duration \"-1\"")
    raises("ngx.sleep({})", "bad argument #1 to 'sleep' (number expected, got table)")
  end)

  it("names the context in which a function is disabled", function()
    local got = script.run(gw, [[
      local sem = require("ngx.semaphore").new()
      local said
      ngx.timer.at(0, function() said = { pcall(ngx.say, "x") } sem:post() end)
      sem:wait(1)
      return said[2]
    ]])
    assert.truthy(got[1]:find("API disabled in the context of ngx.timer", 1, true))
  end)

  for _, name in ipairs({ "ngx.location.capture('/x')", "ngx.exec('/x')", "ngx.run_worker_thread('p', 'm', 'f')",
    "require('ngx.balancer').set_current_peer('127.0.0.1', 80)", "require('ngx.pipe').spawn({'ls'})",
    "require('ngx.ssl.session').get_session_id()", "require('ngx.ocsp').create_ocsp_request('x')" }) do
    it("refuses " .. name .. " in words", function()
      raises(name, name:gsub("require%('(.-)'%)", "%1"):match("^[%w_.]+") .. " is not supported by this gateway")
    end)
  end

  describe("shared dictionaries", function()
    it("tell lists from values", function()
      gives([[
        local d = ngx.shared.moongate
        d:delete("l") d:delete("v")
        d:rpush("l", 1)
        d:set("v", 1)
        local out = { { d:get("l") }, { d:lpush("v", 1) }, { d:rpop("v") }, { d:llen("v") }, { d:incr("l", 1) } }
        for i, pair in ipairs(out) do out[i] = tostring(pair[1]) .. ": " .. tostring(pair[2]) end
        return unpack(out)
      ]], "nil: value is a list", "nil: value not a list", "nil: value not a list", "nil: value not a list", "nil: not a number")
    end)

    it("refuse values, keys and times they cannot hold", function()
      gives([[
        local d = ngx.shared.moongate
        return select(2, d:set("t", {})), select(2, d:set("", 1)), select(2, d:set(nil, 1)), select(2, d:set(("k"):rep(65536), 1)),
          select(2, d:add("t", nil))
      ]], "bad value type", "empty key", "nil key", "key too long", "attempt to add or replace nil values")
      raises([[ngx.shared.moongate:set("k", 1, -1)]], "bad \"exptime\" argument")
      raises([[ngx.shared.moongate.get("k")]], "bad \"zone\" argument")
      raises([[ngx.shared.moongate:incr("k", "x")]], "cannot convert x to number")
      raises([[ngx.shared.moongate:incr("k", 1, nil, 5)]], "must provide \"init\" when providing \"init_ttl\"")
    end)

    it("are those of the settings too", function()
      gives([[
        local own, usual = ngx.shared.own, ngx.shared.prometheus_metrics
        own:set("k", "v")
        return (own:get("k")), own:capacity() < 300 * 1024, usual:capacity() < 300 * 1024, ngx.shared.nobodys
      ]], "v", true, true, null)
    end)

    it("end a counter's life with its init_ttl", function()
      gives([[
        local d = ngx.shared.moongate
        d:delete("c")
        local first, second = d:incr("c", 1, 10, 0.03), d:incr("c", 1, 10, 0.03)
        local ttl = d:ttl("c")
        ngx.sleep(0.05)
        return first, second, ttl > 0 and ttl <= 0.03, (d:incr("c", 1, 10, 1))
      ]], 11, 12, true, 11)
    end)
  end)

  describe("what OpenResty's LuaJIT takes from Lua 5.2", function()
    it("asks tables how to iterate over them", function()
      gives([[
        local t = setmetatable({ 1 }, {
          __pairs = function(self) return function(s, k) if not k then return "only", s[1] end end, self, nil end,
          __ipairs = function() return ipairs({ "x", "y" }) end,
        })
        local out = {}
        for k, v in pairs(t) do out[#out + 1] = k .. v end
        for i, v in ipairs(t) do out[#out + 1] = i .. v end
        return unpack(out)
      ]], "only1", "1x", "2y")
    end)

    it("leaves other tables to the builtins", function()
      gives([[
        local keys = 0
        for _ in pairs(setmetatable({ a = 1, b = 2 }, {})) do keys = keys + 1 end
        return pairs({}) == next, keys, rawlen({ 1, 2 }), rawlen("abc"), table.pack(nil, 2).n
      ]], true, 2, 2, 3, 2)
      raises("pairs(nil)", "bad argument #1 to 'pairs' (table expected, got nil)")
      raises("for _ in ipairs(5) do end", "bad argument #1 to 'ipairs' (table expected, got number)")
    end)
  end)

  describe("cjson", function()
    it("writes empty tables and slashes as its instance is told", function()
      gives([[
        local cjson = require "cjson"
        local own = cjson.new()
        own.encode_empty_table_as_object(false)
        own.encode_escape_forward_slash(true)
        return own.encode({ {}, "a/b" }), cjson.encode({ {}, "a/b" })
      ]], [=[[[],"a\/b"]]=], [=[[{},"a/b"]]=])
    end)

    it("keeps empty arrays when told", function()
      gives([[
        local cjson = require("cjson.safe").new()
        cjson.decode_array_with_array_mt(true)
        local value, err = cjson.decode("{")
        return cjson.encode(cjson.decode('{"a":[]}')), value, err ~= nil
      ]], [=[{"a":[]}]=], null, true)
    end)
  end)
end)
