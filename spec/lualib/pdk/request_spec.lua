-- kong.request and kong.router, kong.ctx, kong.plugin over a request in tables.

local failure = require("lualib.pdk.failure")
local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()

local CONNECTION_ONLY = "rewrite, access, balancer, response, header_filter, body_filter, log"

describe("the phase check", function()
  before_each(function()
    fake:reset()
  end)

  it("names phase and remedy, and blames the caller", function()
    fake:phase("log")
    local text, blames_caller = failure(kong.request.get_raw_body)
    assert.same("function cannot be called in log phase (only in: rewrite, access, response): "
      .. "kong.request.get_raw_body", text)
    assert.is_true(blames_caller)
  end)

  for name, case in pairs({
    get_method = { "init_worker", CONNECTION_ONLY },
    get_header = { "timer", CONNECTION_ONLY },
    get_query = { "init", CONNECTION_ONLY },
    get_port = { "init_worker", "certificate, " .. CONNECTION_ONLY },
    get_body = { "header_filter", "rewrite, access, response" },
  }) do
    it("refuses " .. name .. " in " .. case[1], function()
      fake:phase(case[1])
      assert.same(("function cannot be called in %s phase (only in: %s): kong.request.%s"):format(case[1], case[2], name),
        (failure(kong.request[name], "x")))
    end)
  end
end)

describe("what a client says of itself by proxies", function()
  local forwarded = {
    forwarded_proto = "https", forwarded_host = "Outside.test:8443", forwarded_path = "/outside",
    request_lines = { { "X-Forwarded-Prefix", "/pre" } },
  }

  it("counts from trusted peers", function()
    fake:reset(forwarded)
    fake.trusted = true
    assert.same("https", kong.request.get_forwarded_scheme())
    assert.same("outside.test", kong.request.get_forwarded_host())
    assert.same(8443, kong.request.get_forwarded_port())
    assert.same("/outside", kong.request.get_forwarded_path())
    assert.same("/pre", kong.request.get_forwarded_prefix())
    fake.forwarded_port = 444
    assert.same(444, kong.request.get_forwarded_port())
  end)

  it("does not count from others", function()
    fake:reset(forwarded)
    fake.prefix = "/route"
    assert.same("http", kong.request.get_forwarded_scheme())
    assert.same("example.test", kong.request.get_forwarded_host())
    assert.same(8000, kong.request.get_forwarded_port())
    assert.same("/", kong.request.get_forwarded_path())
    assert.same("/route", kong.request.get_forwarded_prefix())
  end)
end)

describe("the request line", function()
  it("comes as it is", function()
    fake:reset({ method = "PUT", path = "/b", raw_path = "/a/../b", query = "x=1", http_minor = 0 })
    assert.same("PUT", kong.request.get_method())
    assert.same("/b", kong.request.get_path())
    assert.same("/a/../b", kong.request.get_raw_path())
    assert.same("/a/../b?x=1", kong.request.get_path_with_query())
    assert.same("x=1", kong.request.get_raw_query())
    assert.same(1.0, kong.request.get_http_version())
    assert.same(1700000000123, kong.request.get_start_time())
  end)

  it("has an empty query when it has none", function()
    fake:reset({ raw_path = "/a" })
    assert.same("", kong.request.get_raw_query())
    assert.same("/a", kong.request.get_path_with_query())
    assert.same({}, kong.request.get_query())
    assert.is_nil(kong.request.get_query_arg("a"))
  end)

  it("gives captures, empty when the path is none", function()
    fake:reset()
    assert.same({ unnamed = {}, named = {} }, kong.request.get_uri_captures())
    fake.captures = { unnamed = { [0] = "/x", "x" }, named = { n = "x" } }
    assert.same("x", kong.request.get_uri_captures().named.n)
  end)
end)

describe("query arguments", function()
  before_each(function()
    fake:reset({ query = "a=1&b&c=&a=x%20y+z&=none&&%64=5" })
  end)

  it("are arrays when repeated, true when bare", function()
    assert.same({ a = { "1", "x y z" }, b = true, c = "", d = "5" }, kong.request.get_query())
  end)

  for name, value in pairs({ a = "1", b = true, c = "", d = "5" }) do
    it("come one by one: " .. name, function()
      assert.same(value, kong.request.get_query_arg(name))
    end)
  end

  it("are cut at the limit", function()
    local args, err = kong.request.get_query(2)
    assert.same({ a = "1", b = true }, args)
    assert.same("truncated", err)
  end)

  for _, case in ipairs({
    { "x", "max_args must be a number" },
    { 0, "max_args must be >= 1" },
    { 1001, "max_args must be <= 1000" },
  }) do
    it("refuse a limit of " .. tostring(case[1]), function()
      local text, blames_caller = failure(kong.request.get_query, case[1])
      assert.same(case[2], text)
      assert.is_true(blames_caller)
    end)
  end

  it("want a name that is a string", function()
    assert.same("query argument name must be a string", (failure(kong.request.get_query_arg, 1)))
  end)
end)

describe("header fields", function()
  before_each(function()
    fake:reset({ request_lines = { { "X-Foo", "1" }, { "Accept", "*/*" }, { "x-foo", "2" } } })
  end)

  it("are found by any case, with _ for -", function()
    assert.same("1", kong.request.get_header("x-FOO"))
    assert.same("1", kong.request.get_header("X_Foo"))
    assert.is_nil(kong.request.get_header("absent"))
    assert.same("header name must be a string", (failure(kong.request.get_header, nil)))
  end)

  it("come as a table that finds them as well", function()
    local headers, err = kong.request.get_headers()
    assert.same({ "1", "2" }, headers["x-foo"])
    assert.same({ "1", "2" }, headers.X_Foo)
    assert.same("*/*", headers.Accept)
    assert.is_nil(headers.absent)
    assert.is_nil(err)
  end)

  it("are cut at the limit", function()
    local headers, err = kong.request.get_headers(2)
    assert.same("1", headers["x-foo"])
    assert.same("truncated", err)
    assert.same("max_headers must be <= 1000", (failure(kong.request.get_headers, 1001)))
  end)
end)

describe("the body", function()
  local function with(content_type, body)
    fake:reset({ body = body, request_lines = content_type and { { "Content-Type", content_type } } or {} })
  end

  it("is waited for", function()
    with(nil, "text")
    assert.same("text", kong.request.get_raw_body())
    assert.is_true(fake.body_complete)
  end)

  it("says why it cannot be had", function()
    with("application/json", "{}")
    fake.read_error = "too large"
    local body, err = kong.request.get_raw_body()
    assert.is_nil(body)
    assert.same("cannot read the request body: too large", err)
    body, err = kong.request.get_body()
    assert.is_nil(body)
    assert.same("cannot read the request body: too large", err)
  end)

  local MULTIPART = "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b1\r\n"
    .. "content-disposition: form-data; filename=\"f\"; name=\"file\"\r\nContent-Type: text/plain\r\n\r\nx\r\ny\r\n"
    .. "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n2\r\n--b1--\r\n"

  for _, case in ipairs({
    { "application/x-www-form-urlencoded", "a=1&b", { a = "1", b = true }, nil, "application/x-www-form-urlencoded" },
    { "application/json; charset=utf-8", '{"a":[1,{}]}', { a = { 1, {} } }, nil, "application/json" },
    { "application/json", "{", nil, "invalid json body", "application/json" },
    { "application/json", "1", nil, "invalid json body", "application/json" },
    { "multipart/form-data; boundary=b1", MULTIPART, { a = { "1", "2" }, file = "x\r\ny" }, nil, "multipart/form-data" },
    { "multipart/form-data", MULTIPART, nil, "missing boundary in the content type", "multipart/form-data" },
    { "text/plain", "x", nil, "unsupported content type 'text/plain'", "text/plain" },
    { nil, "x", nil, "missing content type", nil },
  }) do
    it("is read as " .. tostring(case[1]) .. " " .. tostring(case[4] or ""), function()
      with(case[1], case[2])
      local body, err, mime = kong.request.get_body()
      assert.same(case[3], body)
      assert.same(case[4], err)
      assert.same(case[5], mime)
    end)
  end

  it("is read by another type when the plugin says so", function()
    with("text/plain", '{"a":1}')
    assert.same({ a = 1 }, (kong.request.get_body("application/json")))
  end)

  it("of parts survives being cut at every byte", function()
    for n = 0, #MULTIPART do
      with("multipart/form-data; boundary=b1", MULTIPART:sub(1, n))
      local body = kong.request.get_body()
      assert.same("table", type(body))
      assert.is_true(body.a == nil or body.a == "1" or #body.a == 2)
    end
  end)
end)

describe("kong.ctx", function()
  local first, second = { name = "first", id = "1", handler = {} }, { name = "second", id = "2", handler = {} }

  before_each(function()
    fake:reset()
  end)

  it("shares one table and gives each plugin its own", function()
    fake:plugin(first)
    kong.ctx.shared.a = 1
    kong.ctx.plugin.b = 2
    fake:plugin(second)
    assert.same(1, kong.ctx.shared.a)
    assert.is_nil(kong.ctx.plugin.b)
    fake:plugin(first)
    assert.same(2, kong.ctx.plugin.b)
    assert.same("1", kong.plugin.get_id())
  end)

  it("has no tables outside of requests and plugins", function()
    local function shared()
      return kong.ctx.shared
    end
    fake:phase("timer")
    assert.truthy((failure(shared)):find("cannot be called in timer phase", 1, true))
    fake:phase("access")
    assert.same("kong.ctx.plugin exists only while a plugin runs", (failure(function()
      return kong.ctx.plugin
    end)))
  end)
end)

describe("kong.router", function()
  it("gives route and service", function()
    fake:reset({ route = { id = "r" }, service = { id = "s" } })
    assert.same("r", kong.router.get_route().id)
    assert.same("s", kong.router.get_service().id)
    fake:phase("rewrite")
    assert.same("function cannot be called in rewrite phase (only in: access, response, header_filter, "
      .. "body_filter, log): kong.router.get_route", (failure(kong.router.get_route)))
  end)
end)
