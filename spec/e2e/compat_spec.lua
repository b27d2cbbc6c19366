-- What Kong's own plugins find around them: in their schemas (this file's first part), and the modules that
-- docs/compatibility.md names.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local site = require("e2e.support.site")
local upstream = require("e2e.support.upstream")

local ROOT = os.getenv("MOONGATE_ROOT") or assert(io.popen("pwd")):read("*l")
local SETTINGS = { plugin_dirs = ROOT .. "/spec/e2e", trusted_plugins = "compat" } -- it looks at our modules too

describe("the schema of a plugin written for Kong", function()
  local function check(config)
    return gateway.command({ "check" }, {
      config = "plugins:\n- {name: compat, config: " .. config .. "}\n", env = { MOONGATE_PLUGIN_DIRS = SETTINGS.plugin_dirs },
    })
  end

  local bad = {
    { "{pattern: '['}", "config.pattern: not a valid regex" },
    { "{field_name: 'a b'}", "config.field_name: bad header name 'a b'" },
    { "{dictionary: mine}", "config.dictionary: no such dictionary: mine" },
    { "{text: A1}", "config.text: small letters only" },
    { "{text: raise}", "config: the plugin's schema failed: .*raised by a validator" },
    { "{variable: host}", "config: the plugin's schema failed: .* needs a running worker" },
  }
  for _, case in ipairs(bad) do
    it("refuses " .. case[1], function()
      local result = check(case[1])
      assert.equal(1, result.code)
      assert.truthy(result.output:find(case[2]), result.output)
    end)
  end

  it("uses ngx, kong and Kong's modules, and fills in records", function()
    local gw, up = site.start({ settings = SETTINGS,
      more = "plugins:\n- {name: compat, config: {dictionary: kong_db_cache, text: abc}}\n" })
    local conf = cjson.decode(client.get(gw, "/").body).conf
    assert.same({ depth = 7, deeper = { depth = 8 } }, conf.nested)
    assert.equal(64, #conf.digest)
    site.stop(gw, up)
  end)
end)

describe("a module of Kong's", function()
  local gw, up

  setup(function()
    gw, up = site.start({ settings = SETTINGS, more = [[
consumers:
- {id: 7f3d6a52-44c4-4a4c-9a55-0c9e1f5d9c11, username: bob, basicauth_credentials: [{username: bob, password: secret}]}
plugins:
- {name: compat}
]] })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  -- What the code returns in a plugin's access phase.
  local function run(code, headers)
    headers = headers or {}
    headers["Content-Type"] = "text/plain"
    local response = client.request({ to = gw, method = "POST", path = "/", headers = headers, body = code })
    assert.equal(200, response.status, response.body)
    return cjson.decode(response.body).results
  end

  local cases = {
    { "resty.ipmatcher: ranges", [[local m = require("resty.ipmatcher").new({ "10.0.0.0/8", "::1", "1.2.3.4" })
      return m:match("10.9.9.9"), m:match("::1"), m:match("1.2.3.5"), m:match_bin("\10\0\0\1"), m:match_bin("\1\2\3\5")]],
      { true, true, false, true, false } },
    { "resty.ipmatcher: bad ones", [[local matcher = require("resty.ipmatcher")
      local m = matcher.new({ "10.0.0.0/8" })
      return matcher.new({ "x" }) == nil, select(2, matcher.new({ "x" })), m:match("x"), select(2, m:match("x")),
        (m:match_bin("abc"))]],
      { true, "invalid ip address: x", false, "invalid ip address, not ipv4 and ipv6", false } },
    { "resty.ipmatcher: values", [[local m = require("resty.ipmatcher").new_with_value({ ["10.0.0.0/8"] = "wide",
        ["10.1.0.0/16"] = "narrow" })
      return m:match("10.1.2.3"), m:match("10.2.2.3"), m:match("11.0.0.1")]], { "narrow", "wide", false } },
    { "resty.ipmatcher: numbers", [[local m = require("resty.ipmatcher")
      return m.parse_ipv4("1.2.3.4"), m.parse_ipv4("::1"), m.parse_ipv6("::2"), m.parse_ipv6("1.2.3.4")]],
      { 16909060, false, { 0, 0, 0, 2 }, false } },
    { "resty.ada: parts", [[local u = require("resty.ada").parse("HTTPS://u:p@H.Test:443/a b?q=1#h")
      return u:get_href(), u:get_host(), u:get_search(), u:has_port(), u:set_port("8443"):get_host()]],
      { "https://u:p@h.test/a%20b?q=1#h", "h.test", "?q=1", false, "h.test:8443" } },
    { "resty.ada: changes", [[local u = require("resty.ada").parse("http://a.test")
      return u:set_pathname("x/y"):set_search("?a=b"):set_hostname("B.test"):get_href()]], { "http://b.test/x/y?a=b" } },
    { "resty.ada: no URL", [[return (require("resty.ada").parse("/a")), (require("resty.ada").can_parse("http://:80"))]],
      { cjson.null, false } },
    { "lua_pack", [[local p = require("lua_pack"); local text = p.pack(">CIhA", 1, 258, -2, "ab")
      return #text, p.unpack(text, ">CIhA2")]], { 9, 10, 1, 258, -2, "ab" } },
    { "lua_pack: too short", [[return require("lua_pack").unpack("\1", ">I")]], { 1 } },
    { "lua_system_constants", [[local c = require("lua_system_constants"); return bit.bor(c.O_WRONLY(), c.O_CREAT(),
      c.O_APPEND())]],
      { 1089 } },
    { "kong.hooks", [[local h = require("kong.hooks"); h.register_hook("p", function(a) return a + 1 end)
      h.register_hook("p", function(a) return a * 10 end)
      h.register_hook("low", function(acc, a) return { n = 1, a } end, { low_level = true })
      local a, b, c = h.run_hook("p", 1), h.run_hook("none", 7), h.run_hook("low", 8); h.clear_hooks(); return a, b, c]],
      { 10, 7, 8 } },
    { "kong.dynamic_hook", [[local h, seen = require("kong.dynamic_hook"), {}
      h.hook("g", "point", function(x) seen[#seen + 1] = x end)
      h.run_hook("g", "point", "off"); local before = h.is_group_enabled("g")
      h.enable_on_this_request("g"); h.run_hook("g", "point", "on")
      local t = { f = function(x) seen[#seen + 1] = "f" .. x; return x end }
      h.hook_function("g", t, "f", 1, { befores = { function(x) seen[#seen + 1] = "b" .. x end },
        afters = { function(x) seen[#seen + 1] = "a" .. x end } })
      return before, t.f(5), seen]], { false, 5, { "on", "b5", "f5", "a5" } } },
    { "kong.workspaces", [[local w = require("kong.workspaces"); return w.get_workspace_id() == kong.default_workspace,
      w.get_workspace_name()]],
      { true, "default" } },
    { "kong.tools.yield", [[local y = require("kong.tools.yield"); y.yield(); y.yield(true)
      return y.in_yieldable_phase(), y.in_yieldable_phase("log")]], { true, false } },
    { "kong.pdk.private.rate_limiting", [[local r, ctx = require("kong.pdk.private.rate_limiting"), {}
      local before = r.get_stored_response_header(ctx, "X-A"); r.store_response_header(ctx, "X-A", 1)
      return before, r.get_stored_response_header(ctx, "X-A"), (pcall(r.store_response_header, ctx, "X-A", {}))]],
      { cjson.null, 1, false } },
    { "kong.resty.mlcache", [[local new = require("kong.resty.mlcache").new
      local a, b, calls = new("a", "kong_db_cache"), new("b", "kong_db_cache"), 0
      local function make(x) calls = calls + 1; return x end
      a:get("k", nil, make, 1); b:get("k", nil, make, 2); local value, err, level = a:get("k", nil, make, 3)
      a:delete("k")
      return value, err, level, (b:get("k")), calls, (a:peek("k")), select(2, new("c", "no such"))]],
      { 1, cjson.null, 1, 2, 2, cjson.null, "no such lua_shared_dict: no such" } },
    { "kong.runloop.balancer.upstreams", [[local u = require("kong.runloop.balancer.upstreams"); return u.get_all_upstreams(),
      u.get_upstream_by_name("x")]],
      { {}, cjson.null } },
    { "kong.db.connector", [[return kong.db.connector:connect(), select(2, kong.db.connector:query("SELECT 1"))]],
      { true, "there is no database" } },
    { "kong.tools.grpc", [[local g = require("kong.tools.grpc"); local bytes = g.frame(0x0, ("x"):rep(300)) .. g.frame(0x80, "end")
      local first, rest = g.unframe(bytes); local second, none = g.unframe(rest)
      return #first, second, none, #bytes, bytes:byte(4), bytes:byte(5), g.unframe("\0\0\0\0\5ab")]],
      { 300, "end", "", 313, 1, 44, cjson.null, "\0\0\0\0\5ab" } },
    { "kong.llm.plugin.ctx", [[local ctx = require("kong.llm.plugin.ctx")
      local get, set = ctx.get_namespaced_accesors("mine" .. ngx.now(), { n = "number" }); set("n", 1)
      local read, write = ctx.get_global_accessors("me"); write("stream_mode", true)
      ctx.set_request_body_table_inuse({ a = 1 }, "me")
      local body, source = ctx.get_request_body_table_inuse(); body.a = 2
      local again, model = ctx.get_request_body_table_inuse(), ctx.get_request_model_table_inuse()
      return get("n"), (select(2, pcall(set, "n", "x")):match("expecting number, got string")), (pcall(get, "m")),
        select(2, read("stream_mode")), source, again, model.name]],
      { 1, "expecting number, got string", false, "me", "me", { a = 1 }, "UNSPECIFIED" } },
    { "kong.llm.plugin.base", [[local base, ran = require("kong.llm.plugin.base"), {}
      local plugin = base.define("mine", 7)
      local function filter(name, stage)
        return base.register_filter({ NAME = name, STAGE = stage,
          run = function(_, conf) ran[#ran + 1] = name .. conf.x; return true end })
      end
      plugin:enable(filter("second", "REQ_TRANSFORMATION")); plugin:enable(filter("first", "REQ_INTROSPECTION"))
      plugin:enable(filter("log", "RES_POST_PROCESSING"))
      local handler = plugin:as_kong_plugin()
      handler:access({ x = 1 }); handler:access({ x = 2 }); handler:log({ x = 3 })
      return handler.PRIORITY, ran, handler.body_filter == nil, base.has_filter_executed("first"),
        (pcall(base.register_filter, { run = print, NAME = "x", STAGE = "NONE" }))]],
      { 7, { "first1", "second1", "log3" }, true, true, false } },
    { "kong.llm.plugin.observability", [[local o = require("kong.llm.plugin.observability")
      o.metrics_add("llm_prompt_tokens_count", 2); o.metrics_add("llm_completion_tokens_count", 3)
      return o.metrics_get("llm_total_tokens_count"), o.metrics_get("llm_usage_cost"), (pcall(o.metrics_get, "x"))]],
      { 5, 0, false } },
    { "kong.llm", [[local llm = require("kong.llm")
      return llm.is_compatible({ messages = { {} } }, "llm/v1/chat"), (llm.is_compatible({ prompt = "x" }, "llm/v1/chat")),
        select(2, llm.is_compatible({}, "llm/v1/chat")), llm.config_schema.type, #llm.config_schema.fields,
        (select(4, llm.new_driver({ model = {} }):parse_json_instructions("x")))]],
      { true, false, "request format not recognised", "record", 4, "the answer is no JSON object" } },
    { "kong.tools.gzip", [[local gzip, text = require("kong.tools.gzip"), ("abc"):rep(100000)
      local packed = gzip.deflate_gzip(text)
      return gzip.inflate_gzip(packed) == text, #packed < 3000, select(2, gzip.inflate_gzip(packed:sub(1, -9))),
        select(2, gzip.inflate_gzip("no gzip")), select(2, require("moongate.abi.gzip").inflate(packed, 1000))]],
      { true, true, "malformed or cut off", "malformed or cut off", "too large" } },
    { "ngx.ctx: what Kong keeps there", [[local ctx, seen = ngx.ctx, {}
      for key in pairs(ctx) do seen[#seen + 1] = key end
      local host = ctx.balancer_data.host
      return ctx.service.name, ctx.route.name, host, (rawget(ctx, "service")),
        ctx.authenticated_consumer == nil, ctx.other == nil]],
      { "app", "app", "127.0.0.1", cjson.null, true, true } },
    { "ngx.var.upstream_uri: the query is apart until it is set", [[local before = ngx.var.upstream_uri
      ngx.var.upstream_uri = "/new"; local path = ngx.var.upstream_uri
      ngx.var.upstream_uri = "/new?b=2"; return before, path, ngx.var.upstream_uri]], { "/", "/new", "/new?b=2" } },
    { "kong.observability.tracing.tracing_context", [[local t = require("kong.observability.tracing.tracing_context")
      t.set_raw_trace_id("raw"); t.set_flags(1); t.add_trace_id_formats({ w3c = "a" })
      return t.get_raw_trace_id(), t.get_flags(), t.add_trace_id_formats({ b3 = "b" }), (t.get_unlinked_span("x"))]],
      { "raw", 1, { w3c = "a", b3 = "b" }, cjson.null } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      assert.same(case[3], run(case[2]))
    end)
  end

  it("propagates traces as the configuration says", function()
    local results = run([[local p = require("kong.observability.tracing.propagation")
      local hex = require("kong.observability.tracing.propagation.utils").to_hex
      local found
      p.propagate({ extract = { "w3c", "b3" }, clear = { "b3" }, inject = { "preserve", "w3c" } }, function(context, x)
        found = { hex(context.trace_id), context.reuse_span_id, context.single_header, x }
        context.span_id = "12345678"
        return context
      end, "x")
      return found, kong.request.get_header("traceparent"), kong.request.get_header("b3")]],
      { b3 = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1" })
    assert.same({ "80f198ee56343ba864fe8b2a57d3eff7", true, true, "x" }, results[1])
    assert.equal("00-80f198ee56343ba864fe8b2a57d3eff7-3132333435363738-01", results[2])
    assert.equal("80f198ee56343ba864fe8b2a57d3eff7-3132333435363738-1", results[3])
  end)

  it("gives passwords of basic-auth as Kong keeps them: salted and hashed", function()
    local results = run([[local row = kong.db.basicauth_credentials:select_by_username("bob")
      return row.password, require("kong.tools.string").to_hex(ngx.sha1_bin("secret" .. row.consumer.id))]])
    assert.equal(40, #results[1])
    assert.equal(results[2], results[1])
  end)

  it("takes the older settings of propagation", function()
    local results = run([[local get = require("kong.observability.tracing.propagation").get_plugin_params
      return get({ header_type = "ignore", default_header_type = "b3" }), get({ header_type = "jaeger" }).inject,
        get({ header_type = "b3", propagation = { inject = { "ot" } } })]])
    assert.same({ { default_format = "b3", inject = { "b3" } }, { "preserve", "jaeger" }, { inject = { "ot" } } }, results)
  end)

  it("makes spans of a tracer's own while nothing is recorded", function()
    local results = run([[local tracer = kong.tracing.new("otel"); local span = tracer.start_span("root")
      span:set_attribute("a", 1); span:finish()
      return kong.tracing.name, tracer.name, #span.trace_id, #span.span_id, tracer:get_sampling_decision(nil, 1),
        tracer:get_sampling_decision(false, 1), (kong.tracing.active_span())]])
    assert.same({ "kong", "otel", 16, 8, true, false, cjson.null }, results)
  end)

  it("is there when docs/compatibility.md says so, and only then", function()
    local named, code = {}, { "local out = {}" }
    for line in io.lines(ROOT .. "/docs/compatibility.md") do
      local name = line:match("^| `([%w_.-]+)` |")
      if name then
        named[name] = true
        code[#code + 1] = ("do local ok, err = pcall(require, %q); out[#out + 1] = not ok and err or nil end"):format(name)
      end
    end
    code[#code + 1] = "return out"
    assert.same({}, run(table.concat(code, "\n"))[1])
    local files = io.popen("cd " .. ROOT .. "/lualib/compat && find kong -name '*.lua' && ls l*.lua")
    for file in files:lines() do
      local name = file:gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
      assert.is_true(named[name], name .. " is not in docs/compatibility.md")
    end
    files:close()
  end)
end)

describe("a plugin beside the configuration", function()
  local function start(name, handler, upstream_opts)
    local up = upstream.start(upstream_opts)
    local gw = gateway.start({ config = {
      ["kong.yaml"] = site.config(up.url, { more = "plugins:\n- name: " .. name .. "\n" }),
      ["plugins/" .. name .. "/schema.lua"] = ("return { name = %q, fields = { { config = { type = \"record\", fields = {} } } } }")
        :format(name),
      ["plugins/" .. name .. "/handler.lua"] = handler,
    } })
    return gw, up
  end

  it("ends the body where it sets ngx.arg[2]", function()
    local gw, up = start("ender", [[return { PRIORITY = 1, VERSION = "0.1",
      header_filter = function() ngx.header.content_length = 4 end,
      body_filter = function() ngx.arg[1] = "over"; ngx.arg[2] = true end }]], { answer = function()
        return { status = 200, body = ("x"):rep(300000) }
      end })
    local c = client.connect(gw)
    for _ = 1, 2 do
      assert.equal("over", c:request({ path = "/" }).body)
    end
    c:close()
    site.stop(gw, up)
  end)

  it("ends the client's response at once there, whatever the upstream has yet to say", function()
    local asked = 0
    local gw, up = start("ender", [[return { PRIORITY = 1, VERSION = "0.1",
      body_filter = function() ngx.arg[1] = "over"; ngx.arg[2] = true end,
      log = function() kong.log.notice("ended with ", kong.response.get_status()) end }]], { script = function(c)
        c:read_request()
        asked = asked + 1
        if asked == 3 then -- complete: its connection is kept
          c:send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole")
          c:read_request()
          return c:send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecond")
        end
        c:send("HTTP/1.1 200 OK\r\n" .. (asked == 1 and "Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
          or "Content-Length: 100\r\n\r\nfirst"))
        c:wait_closed()
      end })
    local c = client.connect(gw)
    for _ = 1, 4 do
      assert.equal("over", c:request({ path = "/" }).body)
    end
    c:close()
    gw:wait_log("ended with 200")
    assert.equal(3, asked)
    site.stop(gw, up)
  end)

  for version, shown in pairs({ ["0.1"] = "0.1", ["v1.2.3-4"] = "1.2.3", ["7"] = "7" }) do
    it("may have version " .. version, function()
      local gw, up = start("versioned", ([[return { PRIORITY = 1, VERSION = %q, access = function()
        return kong.response.exit(200, require("kong.plugins.versioned.handler").VERSION) end }]]):format(version))
      assert.equal(shown, client.get(gw, "/").body)
      site.stop(gw, up)
    end)
  end

  it("may not have a version of four numbers", function()
    local result = gateway.command({ "start" }, { config = {
      ["kong.yaml"] = site.config("http://127.0.0.1:1", { more = "plugins: [{name: four}]\n" }),
      ["plugins/four/schema.lua"] = 'return { name = "four", fields = { { config = { type = "record", fields = {} } } } }',
      ["plugins/four/handler.lua"] = 'return { PRIORITY = 1, VERSION = "1.2.3.4" }',
    }, env = { MOONGATE_PROXY_LISTEN = "127.0.0.1:0", MOONGATE_STATUS_LISTEN = "off", MOONGATE_ADMIN_LISTEN = "off" } })
    assert.equal(1, result.code)
    assert.truthy(result.output:find("has no VERSION", 1, true), result.output)
  end)

  it("takes the place of the bundled one", function()
    local function config(upstream_url)
      return {
        ["kong.yaml"] = site.config(upstream_url, { more = "plugins:\n- {name: correlation-id, config: {word: mine}}\n" }),
        ["plugins/correlation-id/schema.lua"] = [[return { name = "correlation-id", fields = {
          { config = { type = "record", fields = { { word = { type = "string" } } } } } } }]],
        ["plugins/correlation-id/handler.lua"] = [[return { PRIORITY = 1, VERSION = "1.0.0", access = function(_, conf)
          return kong.response.exit(200, conf.word) end }]],
      }
    end
    local gw = gateway.start({ config = config("http://127.0.0.1:1") })
    assert.equal("mine", client.get(gw, "/").body)
    gw:stop()
  end)
end)
