-- What is refused before anything reaches an upstream: one answer, the right status, a closed connection.
-- Each row is one way in which two parsers could disagree about where a message ends or whom it is for.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local HOST = "Host: gateway.test\r\n"

local function get(fields, target, version)
  return ("GET %s HTTP/%s\r\n%s%s\r\n"):format(target or "/", version or "1.1", HOST, fields or "")
end

local function post(fields, body)
  return ("POST / HTTP/1.1\r\n%s%s\r\n%s"):format(HOST, fields, body or "")
end

local function with_host(value)
  return ("GET / HTTP/1.1\r\nHost: %s\r\n\r\n"):format(value)
end

local CHUNKED = "Transfer-Encoding: chunked\r\n"
-- A second request hidden behind the first: it must never be answered.
local HIDDEN = "GET /hidden HTTP/1.1\r\nHost: gateway.test\r\n\r\n"

local REFUSED = {
  { "Transfer-Encoding and Content-Length", 400, post("Content-Length: 4\r\n" .. CHUNKED, "0\r\n\r\n" .. HIDDEN) },
  { "the same in the other order", 400, post(CHUNKED .. "Content-Length: 5\r\n", "0\r\n\r\n" .. HIDDEN) },
  { "two lengths that differ", 400, post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab") },
  { "the same length twice", 400, post("Content-Length: 1\r\nContent-Length: 1\r\n", "a") },
  { "a list of lengths", 400, post("Content-Length: 1, 1\r\n", "a") },
  { "a length with a sign", 400, post("Content-Length: +1\r\n", "a") },
  { "a negative length", 400, post("Content-Length: -1\r\n", "a") },
  { "a hexadecimal length", 400, post("Content-Length: 0x1\r\n", "a") },
  { "a length with a space inside", 400, post("Content-Length: 1 1\r\n", "a") },
  { "an empty length", 400, post("Content-Length: \r\n", "a") },
  { "a length of 2^64", 400, post("Content-Length: 18446744073709551616\r\n", "a") },
  { "an unknown transfer coding", { 400, 501 }, post("Transfer-Encoding: gzip\r\n", "a") },
  { "chunked before another coding", { 400, 501 }, post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n") },
  { "chunked twice", { 400, 501 }, post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n") },
  { "Transfer-Encoding twice", { 400, 501 }, post(CHUNKED .. CHUNKED, "0\r\n\r\n") },
  { "a coding with a vertical tab", { 400, 501 }, post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n") },
  { "a quoted coding", { 400, 501 }, post('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n") },
  { "an empty coding", { 400, 501 }, post("Transfer-Encoding:\r\n", "0\r\n\r\n") },
  { "Transfer-Encoding on HTTP/1.0", 400, "POST / HTTP/1.0\r\n" .. HOST .. CHUNKED .. "\r\n0\r\n\r\n" },
  { "a folded field line", 400, get("X-A: b\r\n c\r\n") },
  { "a folded length", 400, post("X-A: b\r\n Content-Length: 5\r\n", "hello") },
  { "a first field line that begins with a space", 400, "GET / HTTP/1.1\r\n " .. HOST .. "\r\n" },
  { "a bare LF after a field line", 400, "GET / HTTP/1.1\r\nHost: gateway.test\nX-A: b\r\n\r\n" },
  { "a bare LF after the request line", 400, "GET / HTTP/1.1\nHost: gateway.test\r\n\r\n" },
  { "bare LFs only", 400, "GET / HTTP/1.1\nHost: gateway.test\n\n" },
  { "a bare CR in a value", 400, get("X-A: b\rc\r\n") },
  { "a NUL in a value", 400, get("X-A: b\0c\r\n") },
  { "a control byte in a value", 400, get("X-A: b\1c\r\n") },
  { "DEL in a value", 400, get("X-A: b\127c\r\n") },
  { "an empty field name", 400, get(": b\r\n") },
  { "a space before the colon", 400, get("X-A : b\r\n") },
  { "a space before Content-Length's colon", 400, post("Content-Length : 5\r\n", "hello") },
  { "a field line without a colon", 400, get("X-A\r\n") },
  { "a byte outside ASCII in a name", 400, get("X-\195\164: b\r\n") },
  { "a bracket in a name", 400, get("X[A]: b\r\n") },
  { "no Host", 400, "GET / HTTP/1.1\r\nX-A: b\r\n\r\n" },
  { "two Hosts", 400, get("Host: other.test\r\n") },
  { "the same Host twice", 400, get(HOST) },
  { "a Host with a slash", 400, with_host("a/b") },
  { "a Host with a question mark", 400, with_host("a?b") },
  { "a Host with a number sign", 400, with_host("a#b") },
  { "a Host with an at sign", 400, with_host("a@b") },
  { "a Host with a comma", 400, with_host("a,b") },
  { "a Host with a space", 400, with_host("a b") },
  { "a Host with a backslash", 400, with_host("a\\b") },
  { "a Host with a port that is no number", 400, with_host("a:b") },
  { "a Host with a port over 65535", 400, with_host("a:65536") },
  { "an absolute target for another Host", 400, get("", "http://other.test/") },
  { "an absolute target with user information", 400, "GET http://u@gateway.test/ HTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "a method that is no token", 400, "G(T / HTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "two spaces in the request line", 400, "GET  / HTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "a target with a space", 400, "GET /a b HTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "a target outside ASCII", 400, get("", "/\195\164") },
  { "a target with a control byte", 400, get("", "/a\1b") },
  { "a target with a fragment", 400, get("", "/a#b") },
  { "a target without a slash", 400, get("", "a") },
  { "a bad percent triplet", 400, get("", "/%zz") },
  { "an escaped slash", 400, get("", "/a%2fb") },
  { "an escaped backslash", 400, get("", "/a%5Cb") },
  { "an escaped NUL", 400, get("", "/a%00b") },
  { "a raw backslash", 400, get("", "/a\\b") },
  { "no version", 400, "GET /\r\n\r\n" },
  { "a version in lower case", 400, get("", "/", "1.1"):gsub("HTTP", "http", 1) },
  { "HTTP/2.0 in a request line", { 400, 505 }, get("", "/", "2.0") },
  { "a version with two digits", { 400, 505 }, get("", "/", "1.10") },
  { "CONNECT", 405, "CONNECT gateway.test:443 HTTP/1.1\r\nHost: gateway.test:443\r\n\r\n" },
  { "TRACE", 405, "TRACE / HTTP/1.1\r\n" .. HOST .. "\r\n" },
  { "an unknown expectation", 417, post("Expect: tea\r\nContent-Length: 1\r\n", "a") },
  { "a target over 8 KiB", 414, get("", "/" .. ("a"):rep(9000)) },
  { "a head over 16 KiB", 431, get(("X-A: " .. ("b"):rep(2000) .. "\r\n"):rep(9)) },
  { "a head over 16 KiB that never ends", 431, "GET / HTTP/1.1\r\nX-A: " .. ("b"):rep(40000) },
  { "a thousand field lines", 431, get(("X: y\r\n"):rep(1000)) },
}

-- The head is good, so the upstream may have seen it; the answer and the end are what counts.
local BAD_CHUNKS = {
  { "a chunk size that is no number", "g\r\nx\r\n0\r\n\r\n" },
  { "a chunk size with a sign", "+1\r\nx\r\n0\r\n\r\n" },
  { "a chunk size with 0x", "0x1\r\nx\r\n0\r\n\r\n" },
  { "a chunk size before a space", "1 \r\nx\r\n0\r\n\r\n" },
  { "an empty chunk size", "\r\nx\r\n0\r\n\r\n" },
  { "a chunk size over 2^63", "8000000000000000\r\nx" },
  { "a bare LF after the chunk size", "1\nx\r\n0\r\n\r\n" },
  { "a bare LF after the chunk", "1\r\nx\n0\r\n\r\n" },
  { "a chunk longer than its size", "1\r\nxy\r\n0\r\n\r\n" },
  { "a bare LF in an extension", "1;a\nb\r\nx\r\n0\r\n\r\n" },
  { "an endless extension", "1;" .. ("a"):rep(100000) },
  { "endless trailers", "0\r\n" .. ("A: b\r\n"):rep(20000) },
}

local function one_of(want, got)
  for _, status in ipairs(type(want) == "table" and want or { want }) do
    if status == got then
      return status
    end
  end
  return type(want) == "table" and want[1] or want
end

describe("a request with", function()
  local gw, up

  setup(function()
    gw, up = site.start()
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  local function refused(bytes, want)
    local before = #up.requests
    local result = client.raw(gw, bytes, { quiet = 3 })
    local first = result.first
    assert.gateway_error(one_of(want, first and first.status), first)
    assert.same(1, #result.responses)
    assert.same("close", first:header("connection"))
    assert.not_same("open", result.ended)
    return before
  end

  for _, case in ipairs(REFUSED) do
    it(case[1] .. " is refused", function()
      local before = refused(case[3], case[2])
      assert.same(before, #up.requests)
    end)
  end

  for _, case in ipairs(BAD_CHUNKS) do
    it(case[1] .. " is refused", function()
      up:answer(nil)
      refused(post(CHUNKED, case[2]), 400)
      for _, request in ipairs(up.requests) do
        assert.not_same("/hidden", request.target)
      end
    end)
  end
end)

describe("a request that is unusual but right, with", function()
  local gw, up

  setup(function()
    gw, up = site.start()
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  local ACCEPTED = {
    { "an absolute target of the same Host", get("", "http://gateway.test/a?b"), "/a?b" },
    { "an absolute target in capitals", get("", "HTTP://GATEWAY.TEST/a"), "/a" },
    { "an empty line before it", "\r\n" .. get("", "/a"), "/a" },
    { "no space after a colon", "GET /a HTTP/1.1\r\nHost:gateway.test\r\n\r\n", "/a" },
    { "spaces and tabs around a value", get("X-A: \t b \t\r\n", "/a"), "/a" },
    { "bytes over 127 in a value", get("X-A: \195\164\r\n", "/a"), "/a" },
    { "dot segments", get("", "/x/../a"), "/a" },
    { "escaped dots", get("", "/x/%2e%2E/a"), "/a" },
    { "an escaped letter", get("", "/%61"), "/a" },
    { "slashes in a row", get("", "//x///a"), "/x/a" },
    { "a method of its own", "PURGE /a HTTP/1.1\r\n" .. HOST .. "\r\n", "/a" },
    { "chunk extensions and trailers", post(CHUNKED, "1;a=b\r\nx\r\n0\r\nX-T: 1\r\n\r\n"), "/" },
    { "leading zeroes in a chunk size", post(CHUNKED, "0001\r\nx\r\n0\r\n\r\n"), "/" },
    { "an empty body with Expect", post("Expect: 100-continue\r\nContent-Length: 0\r\n"), "/" },
  }

  for _, case in ipairs(ACCEPTED) do
    it(case[1] .. " is passed on", function()
      local result = client.raw(gw, case[2], { count = 1 })
      assert.status(200, result.first)
      assert.same(case[3], up:last().target)
    end)

    it(case[1] .. " may come byte by byte", function()
      local c = client.connect(gw)
      c:send_slowly(case[2])
      local response = c:read_response()
      c:close()
      assert.status(200, response)
      assert.same(case[3], up:last().target)
    end)
  end

  it("trailers does not pass them on", function()
    client.raw(gw, post(CHUNKED, "1\r\nx\r\n0\r\nContent-Length: 5\r\nAuthorization: x\r\n\r\n"), { count = 1 })
    local request = up:last()
    assert.same("x", request.body)
    assert.same({}, request.trailers or {})
    assert.is_nil(request:header("authorization"))
  end)
end)
