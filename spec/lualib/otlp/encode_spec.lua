local encode = require "moongate.otlp.encode"
local protobuf = require "moongate.otlp.protobuf"
local reader = require "lualib.otlp.reader"

describe("otlp.protobuf", function()
  it("writes integers of any size and sign", function()
    assert.same("\8\0", protobuf.int(1, 0))
    assert.same("\8\172\2", protobuf.int(1, 300))
    assert.same("\8\255\255\255\255\255\255\255\255\255\1", protobuf.int(1, -1))
    assert.same("\8\254\255\255\255\255\255\255\255\255\1", protobuf.int(1, -2))
    assert.same("\8\128\128\128\128\240\255\255\255\255\1", protobuf.int(1, -2 ^ 32))
    assert.same("\8\128\128\128\128\128\128\128\16", protobuf.int(1, 2 ^ 53))
    assert.same("\250\1\1x", protobuf.bytes(31, "x"))
  end)

  it("writes doubles bit for bit", function()
    for _, n in ipairs({ 0.5, -0.5, 1, 3.141592653589793, 1e308, 2.2250738585072014e-308, 5e-324, 1e-310, 0, 123456.789 }) do
      assert.same(n, reader.double(protobuf.double(1, n):sub(2)))
    end
    assert.same("\9\0\0\0\0\0\0\240\127", protobuf.double(1, math.huge))
    assert.same("\9\0\0\0\0\0\0\240\255", protobuf.double(1, -math.huge))
    assert.same("\9\0\0\0\0\0\0\248\127", protobuf.double(1, 0 / 0))
  end)

  it("writes fixed numbers", function()
    assert.same("\9\1\0\0\0\2\0\0\0", protobuf.fixed64(1, 2 * 2 ^ 32 + 1))
    assert.same("\13\1\2\0\0", protobuf.fixed32(1, 513))
  end)
end)

describe("otlp.encode", function()
  it("writes spans", function()
    local text = encode.export({ encode.span({
      trace_id = ("t"):rep(16), span_id = ("s"):rep(8), parent_id = ("p"):rep(8), name = "n", kind = 2,
      start_time_ns = 1700000000 * 1e9, end_time_ns = 1700000001 * 1e9, status = 2, status_message = "bad",
      should_sample = true,
      attributes = { s = "x", i = 7, neg = -7, d = 0.5, b = false, list = { "a", 1 } },
      events = { { name = "e", time_ns = 5e9, attributes = { k = "v" } } },
    }) }, { ["service.name"] = "kong" }, { name = "scope", version = "1" })
    assert.same({
      resource = { ["service.name"] = "kong" }, scope = { name = "scope", version = "1" },
      items = { {
        trace_id = ("74"):rep(16), span_id = ("73"):rep(8), parent_id = ("70"):rep(8), name = "n", kind = 2,
        start_ns = 1700000000 * 1e9, end_ns = 1700000001 * 1e9, status = 2, status_message = "bad", flags = 1,
        attributes = { s = "x", i = 7, neg = -7, d = 0.5, b = false, list = { "a", 1 } },
        events = { { name = "e", time_ns = 5e9, attributes = { k = "v" } } },
      } },
    }, reader.traces(text))
  end)

  it("joins spans by concatenation", function()
    local one = encode.span({ trace_id = ("t"):rep(16), span_id = ("s"):rep(8), name = "n", kind = 1, start_time_ns = 1,
      end_time_ns = 2 })
    assert.same(2, #reader.traces(encode.export({ one .. one }, {}, { name = "", version = "" })).items)
  end)

  it("writes log records", function()
    local text = encode.export({ encode.log_record({ time_ns = 5e9, severity = 9, body = "{}", attributes = { a = 1 },
      trace_id = ("t"):rep(16), span_id = ("s"):rep(8) }) }, {}, { name = "x", version = "1" })
    assert.same({ { time_ns = 5e9, severity = 9, body = "{}", attributes = { a = 1 }, trace_id = ("74"):rep(16),
      span_id = ("73"):rep(8) } }, reader.logs(text).items)
  end)
end)
