local traffic = require "plugins.fake_traffic"

describe("request-size-limiting", function()
  local plugin = traffic.new("request-size-limiting")

  local function conf(size, unit, required)
    return { allowed_payload_size = size, size_unit = unit or "bytes", require_content_length = required or false }
  end

  local function answer(...)
    local got = plugin:access(...)
    return got and { got.status, got.message }
  end

  local TOO_LARGE = { 413, "Request size limit exceeded" }

  it("compares the declared length, in each unit", function()
    for unit, bytes in pairs({ bytes = 1, kilobytes = 1024, megabytes = 1024 * 1024 }) do
      local length = { headers = { ["Content-Length"] = "1" } }
      length.content_length = 2 * bytes
      assert.is_nil(answer(conf(2, unit), length))
      length.content_length = 2 * bytes + 1
      assert.same(TOO_LARGE, answer(conf(2, unit), length))
    end
  end)

  it("answers 417 to a client that asked first", function()
    assert.same({ 417, "Request size limit exceeded" },
      answer(conf(2), { content_length = 3, headers = { Expect = " 100-Continue" } }))
    assert.same(TOO_LARGE, answer(conf(2), { content_length = 3, headers = { Expect = "else" } }))
  end)

  it("wants a declared length where that is configured, but of chunked bodies", function()
    assert.same({ 411, "A valid Content-Length header is required" },
      answer(conf(2, nil, true), { content_length = 0 }))
    assert.is_nil(answer(conf(2, nil, true), { content_length = 0, headers = { ["Content-Length"] = "0" } }))
    assert.is_nil(answer(conf(2, nil, false), { content_length = 0 }))
    assert.is_nil(answer(conf(2, nil, true), {}))
  end)

  it("reads a chunked body the node can hold", function()
    local settings = { body_buffer_max_bytes = 100 }
    assert.is_nil(answer(conf(100), { settings = settings }))
    assert.is_true(plugin.fake.body_complete)
    assert.same(TOO_LARGE, answer(conf(100), { settings = settings, read_error = "too large" }))
    assert.same({ 400, "Cannot read the request body: aborted" },
      answer(conf(100), { settings = settings, read_error = "aborted" }))
  end)

  it("cuts a larger one off on its way", function()
    assert.is_nil(answer(conf(101), { settings = { body_buffer_max_bytes = 100 } }))
    assert.is_false(plugin.fake.body_complete)
    assert.same(101, plugin.body_limit)
    assert.same(TOO_LARGE, answer(conf(101), { settings = { body_buffer_max_bytes = 100 }, body = ("x"):rep(102) }))
  end)
end)
