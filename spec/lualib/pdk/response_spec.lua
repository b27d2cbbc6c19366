-- kong.response: heads, answers, chunks.

local failure = require("lualib.pdk.failure")
local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()
local BAD_VALUE = "expected string, number, boolean or array of strings"

-- What exit or error answered with.
local function answered(fn, ...)
  local ok = pcall(fn, ...)
  assert.is_false(ok)
  return assert(fake.exited, "nothing was answered")
end

describe("the head", function()
  before_each(function()
    fake:reset()
  end)

  for _, case in ipairs({
    { "text", "text" }, { 5, "5" }, { true, "true" }, { "a\r\nb", "a%0D%0Ab" },
  }) do
    it("takes a value: " .. tostring(case[1]):gsub("%c", "?"), function()
      kong.response.set_header("X_Foo", case[1])
      assert.same({ { "X-Foo", case[2] } }, fake.response_lines)
    end)
  end

  it("takes arrays, and adds lines", function()
    kong.response.set_header("A", { "1", 2 })
    kong.response.add_header("A", "3")
    kong.response.add_header("A", { "4" })
    assert.same({ { "A", "1" }, { "A", "2" }, { "A", "3" }, { "A", "4" } }, fake.response_lines)
    kong.response.clear_header("a")
    assert.same({}, fake.response_lines)
  end)

  it("takes several fields in the order of their names", function()
    kong.response.set_headers({ B = "2", A = "1", C = { "3", "4" } })
    assert.same({ { "A", "1" }, { "B", "2" }, { "C", "3" }, { "C", "4" } }, fake.response_lines)
  end)

  for _, case in ipairs({
    { 1, "x", "header must be a string" },
    { "A", nil, 'invalid value for "A": got nil, ' .. BAD_VALUE },
    { "A", print, 'invalid value for "A": got function, ' .. BAD_VALUE },
    { "A", { "x", {} }, 'invalid value for "A": got table, ' .. BAD_VALUE },
  }) do
    it("refuses: " .. case[3], function()
      for _, name in ipairs({ "set_header", "add_header" }) do
        local text, blames_caller = failure(kong.response[name], case[1], case[2])
        assert.same(case[3], text)
        assert.is_true(blames_caller)
      end
    end)
  end

  it("refuses everything once it has been sent", function()
    fake.head_sent = true
    for _, call in ipairs({ { "set_header", "A", "1" }, { "add_header", "A", "1" }, { "clear_header", "A" },
      { "set_status", 200 }, { "set_headers", { A = "1" } }, { "exit", 200 }, { "error", 500 } }) do
      local text, blames_caller = failure(kong.response[call[1]], call[2], call[3])
      assert.same("headers have already been sent", (text:gsub('^header "A": ', "")), call[1])
      assert.is_true(blames_caller, call[1])
    end
  end)

  for _, case in ipairs({
    { "200", "code must be a number" },
    { 99, "code must be a number between 100 and 599" },
    { 600, "code must be a number between 100 and 599" },
  }) do
    it("refuses status " .. case[1], function()
      assert.same(case[2], (failure(kong.response.set_status, case[1])))
    end)
  end

  it("is read after it came", function()
    fake:phase("header_filter")
    fake.status, fake.source, fake.response_lines = 201, "service", { { "A", "1" }, { "a", "2" } }
    assert.same(201, kong.response.get_status())
    assert.same("service", kong.response.get_source())
    assert.same("1", kong.response.get_header("a"))
    assert.same({ "1", "2" }, kong.response.get_headers().A)
    local _, err = kong.response.get_headers(1)
    assert.same("truncated", err)
    fake:phase("access")
    assert.same("function cannot be called in access phase (only in: response, header_filter, body_filter, log): "
      .. "kong.response.get_status", (failure(kong.response.get_status)))
  end)
end)

describe("an answer", function()
  before_each(function()
    fake:reset()
  end)

  for _, case in ipairs({
    { "a table", { message = "no/way" }, nil, '{"message":"no/way"}', "application/json; charset=utf-8" },
    { "an empty table", {}, nil, "{}", "application/json; charset=utf-8" },
    { "an array", { 1, 2 }, nil, "[1,2]", "application/json; charset=utf-8" },
    { "a text", "text", nil, "text", nil },
    { "nothing", nil, nil, nil, nil },
    { "a typed text", "<a/>", { ["content-type"] = "text/xml" }, "<a/>", "text/xml" },
    { "a typed table", {}, { ["Content-Type"] = "application/problem+json" }, "{}", "application/problem+json" },
  }) do
    it("of " .. case[1], function()
      assert.same({ status = 418, body = case[4], content_type = case[5] },
        answered(kong.response.exit, 418, case[2], case[3]))
    end)
  end

  it("sets its header fields but those of framing", function()
    answered(kong.response.exit, 200, "x", { A = { "1", "2" }, ["Content-Length"] = 99, ["Transfer-Encoding"] = "gzip" })
    assert.same({ { "A", "1" }, { "A", "2" } }, fake.response_lines)
    assert.truthy(fake.logged[1].text:find("Transfer-Encoding", 1, true))
  end)

  for _, case in ipairs({
    { { "x" }, "code must be a number" },
    { { 99 }, "code must be a number between 100 and 599" },
    { { 200, 5 }, "body must be a nil, string or table" },
    { { 200, nil, 5 }, "headers must be a nil or table" },
    { { 200, nil, { A = print } }, 'invalid value for "A": got function, ' .. BAD_VALUE },
  }) do
    it("is refused: " .. case[2], function()
      local text, blames_caller = failure(kong.response.exit, unpack(case[1], 1, 3))
      assert.same(case[2], text)
      assert.is_true(blames_caller)
    end)
  end

  it("in the gateway's own form carries status, message and fields", function()
    assert.same({ status = 401, message = "who?" }, answered(kong.response.error, 401, "who?", { A = "1" }))
    assert.same({ { "A", "1" } }, fake.response_lines)
    assert.same("code must be a number between 400 and 599", (failure(kong.response.error, 200)))
    assert.same("message must be a nil, string or table", (failure(kong.response.error, 500, 5)))
  end)

  it("cannot be given too late", function()
    fake:phase("body_filter")
    assert.same("function cannot be called in body_filter phase (only in: rewrite, access, balancer, response, "
      .. "header_filter): kong.response.exit", (failure(kong.response.exit, 200)))
  end)
end)

describe("the body in body_filter", function()
  local first, second = { name = "first", handler = {} }, { name = "second", handler = {} }

  local function chunk(text, last)
    fake.chunk, fake.last = text, last
  end

  before_each(function()
    fake:reset()
    fake:phase("body_filter")
    fake:plugin(first)
  end)

  it("is held back until its end, then goes on as one", function()
    for _, text in ipairs({ "a", "", "b" }) do
      chunk(text, false)
      assert.is_nil(kong.response.get_raw_body())
      assert.same("", fake.chunk)
    end
    chunk("c", true)
    assert.same("abc", kong.response.get_raw_body())
    assert.same("abc", fake.chunk)
  end)

  it("is gathered by each plugin alone", function()
    chunk("a", false)
    kong.response.get_raw_body()
    fake:plugin(second)
    kong.response.get_raw_body()
    chunk("b", true)
    fake:plugin(first)
    assert.same("ab", kong.response.get_raw_body())
    fake:plugin(second)
    assert.same("ab", kong.response.get_raw_body())
  end)

  it("is empty when there is none, and can be replaced", function()
    chunk("", true)
    assert.same("", kong.response.get_raw_body())
    kong.response.set_raw_body("new")
    assert.same("new", fake.chunk)
    assert.is_true(fake.last)
    assert.same("body must be a string", (failure(kong.response.set_raw_body, nil)))
  end)
end)
