-- kong.service, kong.service.request, kong.service.response.

local failure = require("lualib.pdk.failure")
local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()
local service = kong.service

local JSON = "application/json"
local FORM = "application/x-www-form-urlencoded"

before_each(function()
  fake:reset()
end)

describe("kong.service", function()
  for _, case in ipairs({
    { "set_target", { "host", 8080 } },
    { "set_retries", { 3 } },
    { "set_timeouts", { 1, 2, 3 } },
    { "set_upstream", { "name" } },
    { "set_tls_verify", { true } },
  }) do
    it(case[1] .. " passes on what it is given", function()
      service[case[1]](unpack(case[2]))
      assert.same(case[2], fake.calls[case[1]])
    end)
  end

  for _, case in ipairs({
    { "set_target", { 1, 80 }, "host must be a string" },
    { "set_target", { "h", "80" }, "port must be an integer" },
    { "set_target", { "h", 65536 }, "port must be an integer between 0 and 65535: given 65536" },
    { "set_retries", { 1.5 }, "retries must be an integer" },
    { "set_retries", { -1 }, "retries must be an integer between 0 and 32767: given -1" },
    { "set_timeouts", { 1, 0, 1 }, "write_timeout must be an integer between 1 and 2147483646: given 0" },
    { "set_upstream", { nil }, "host must be a string" },
    { "set_tls_verify", { "x" }, "argument must be a boolean" },
    { "set_tls_verify_depth", { -1 }, "depth must be an integer between 0 and 64: given -1" },
    { "set_tls_verify_store", { {} }, "store must be a parsed cdata object" },
    { "set_tls_cert_key", { "pem" }, "chain must be a parsed cdata object" },
  }) do
    it(case[1] .. " refuses: " .. case[3], function()
      local text, blames_caller = failure(service[case[1]], unpack(case[2], 1, 3))
      assert.same(case[3], text)
      assert.is_true(blames_caller)
    end)
  end

  it("passes on certificates, stores and depths", function()
    assert.is_true(service.set_tls_cert_key("chain", "key"))
    assert.is_true(service.set_tls_verify_store("store"))
    assert.is_true(service.set_tls_verify_depth(2))
    assert.same({ { "chain and key" }, { "store" }, { 2 } },
      { fake.calls.set_upstream_certificate, fake.calls.set_upstream_store, fake.calls.set_upstream_depth })
  end)

  describe("asks for the target of each further attempt", function()
    local retry = require("moongate.runloop.retry")

    it("and takes it; the port stays when it names none", function()
      assert.is_true(service.set_target_retry_callback(function() return "10.0.0.2", 81 end))
      assert.same({}, fake.calls.ask_on_retry)
      retry.run()
      assert.same({ "10.0.0.2", 81 }, fake.calls.set_target)
      service.set_target_retry_callback(function() return "10.0.0.3" end)
      fake.port = 8080
      retry.run()
      assert.same({ "10.0.0.3", 8080 }, fake.calls.set_target)
    end)

    it("and does nothing in requests without a callback", function()
      retry.run()
      assert.is_nil(fake.calls.set_target)
    end)

    it("and raises what the callback says instead of a target", function()
      service.set_target_retry_callback(function() return nil, "nobody" end)
      assert.same("set_target_retry_callback: its function gave no target: nobody", (failure(retry.run)))
      assert.same({ "retry_callback must be a function", true }, { failure(service.set_target_retry_callback, 1) })
    end)
  end)
end)

describe("the request upstream", function()
  for _, case in ipairs({
    { "/a b", "/a%20b" },
    { "/a?b#c", "/a%3Fb%23c" },
    { "/%2F%zz%", "/%2F%25zz%25" },
    { "/\195\164\n", "/%C3%A4%0A" },
    { "/a/b;c=d@e:f,g!~*'()$&+", "/a/b;c=d@e:f,g!~*'()$&+" },
  }) do
    it("has its path escaped: " .. case[2], function()
      service.request.set_path(case[1])
      assert.same({ case[2] }, fake.calls.set_path)
    end)
  end

  for _, case in ipairs({
    { "set_path", "x", "path must start with /" },
    { "set_path", 1, "path must be a string" },
    { "set_scheme", "ftp", "invalid scheme: ftp" },
    { "set_method", "get", "invalid method: get" },
    { "set_method", nil, "method must be a string" },
    { "set_raw_query", {}, "query must be a string" },
    { "set_query", "a=1", "args must be a table" },
    { "set_query", { 1 }, "arg keys must be strings" },
    { "set_query", { a = print }, "arg values must be strings, numbers, booleans or arrays of these" },
    { "set_raw_body", {}, "body must be a string" },
    { "set_body", "x", "args must be a table" },
    { "clear_query_arg", 1, "query argument name must be a string" },
    { "set_headers", "x", "headers must be a table" },
    { "clear_header", nil, "header must be a string" },
  }) do
    it(case[1] .. " refuses: " .. case[3], function()
      local text, blames_caller = failure(service.request[case[1]], case[2])
      assert.same(case[3], text)
      assert.is_true(blames_caller)
    end)
  end

  it("has a query in the order of its names", function()
    service.request.set_query({ b = { "2", true, 3 }, a = "x y&", c = true, d = false, ["e f"] = "" })
    assert.same({ "a=x%20y%26&b=2&b&b=3&c&e%20f=" }, fake.calls.set_query)
    service.request.set_raw_query("a=%20b c")
    assert.same({ "a=%20b%20c" }, fake.calls.set_query)
  end)

  it("loses a query argument and keeps the others as they were", function()
    fake.query = "b=%7e&a=1&c&%61=2&a"
    service.request.clear_query_arg("a")
    assert.same({ "b=%7e&c" }, fake.calls.set_query)
  end)

  it("has the client's header fields", function()
    service.request.set_header("X-A", { "1", "2" })
    service.request.add_header("X-A", 3)
    service.request.set_header("X-B", true)
    assert.same({ { "X-A", "1" }, { "X-A", "2" }, { "X-A", "3" }, { "X-B", "true" } }, fake.request_lines)
    service.request.clear_header("x-a")
    assert.is_nil(kong.request.get_header("X-A"))
    service.request.set_headers({ D = "1", C = "2" })
    assert.same({ { "X-B", "true" }, { "C", "2" }, { "D", "1" } }, fake.request_lines)
  end)

  it("has a Host of its own, which the client's request does not show", function()
    fake.request_lines = { { "Host", "example.test" } }
    service.request.set_header("host", "upstream.test")
    assert.same({ "upstream.test" }, fake.calls.set_host_header)
    service.request.set_headers({ Host = "other.test" })
    assert.same({ "other.test" }, fake.calls.set_host_header)
    assert.same("example.test", kong.request.get_header("host"))
  end)

  it("takes a body by the request's own type", function()
    fake.request_lines = { { "Content-Type", "application/json; charset=utf-8" } }
    assert.is_true(service.request.set_body({ a = { 1 } }))
    assert.same('{"a":[1]}', fake.body)
    assert.same("application/json; charset=utf-8", kong.request.get_header("content-type"))
  end)

  it("takes a body by the type it is told", function()
    assert.is_true(service.request.set_body({ b = "2", a = true }, FORM))
    assert.same("a&b=2", fake.body)
    assert.same(FORM, kong.request.get_header("content-type"))
  end)

  it("takes a body in parts that reads back the same", function()
    local parts = { a = { "1", "2" }, b = "x\r\ny", ["q\"t"] = "" }
    assert.is_true(service.request.set_body({ a = parts.a, b = parts.b }, "multipart/form-data"))
    assert.same({ a = parts.a, b = parts.b }, (kong.request.get_body()))
  end)

  it("says why it takes no body", function()
    local ok, err = service.request.set_body({})
    assert.is_nil(ok)
    assert.same("content type was neither explicitly given as an argument or received as a header", err)
    ok, err = service.request.set_body({}, "text/plain")
    assert.is_nil(ok)
    assert.same("unsupported content type 'text/plain'", err)
    ok, err = service.request.set_body({ a = print }, FORM)
    assert.is_nil(ok)
    assert.same("arg values must be strings, numbers, booleans or arrays of these", err)
  end)

  it("keeps empty arrays of JSON that was read", function()
    local text = '{"a":[],"b":[[],{}],"s":"[] \\" [ ]","t":[ ]}'
    fake.body, fake.request_lines = text, { { "Content-Type", JSON } }
    service.request.set_body((kong.request.get_body()))
    assert.same('{"a":[],"b":[[],{}],"s":"[] \\" [ ]","t":[]}', fake.body)
  end)

  it("keeps an array that a plugin has emptied", function()
    fake.body, fake.request_lines = '{"a":[1]}', { { "Content-Type", JSON } }
    local body = kong.request.get_body()
    table.remove(body.a)
    service.request.set_body(body)
    assert.same('{"a":[]}', fake.body)
  end)
end)

describe("the upstream's response", function()
  before_each(function()
    fake:phase("response")
    fake.upstream_status = 201
    fake.upstream_lines = { { "Content-Type", JSON }, { "A", "1" }, { "a", "2" } }
    fake.response_lines = { { "A", "changed" } }
  end)

  it("is as the upstream sent it", function()
    assert.same(201, service.response.get_status())
    assert.same("1", service.response.get_header("a"))
    assert.same({ "1", "2" }, service.response.get_headers().A)
  end)

  it("has a body only when it is buffered", function()
    local text, blames_caller = failure(service.response.get_raw_body)
    assert.same("service body is only available with buffered proxying "
      .. "(see: kong.service.request.enable_buffering function)", text)
    assert.is_true(blames_caller)
    fake.buffering, fake.collected = true, '{"a":1}'
    assert.same('{"a":1}', service.response.get_raw_body())
    assert.same({ a = 1 }, (service.response.get_body()))
  end)
end)
