local fake = require "plugins.fake_gateway"

describe("http-log", function()
  local enqueued, sent, answer

  before_each(function()
    enqueued, sent, answer = {}, {}, { status = 200 }
    package.loaded["moongate.queue"] = {
      get_plugin_params = function(_, conf) return conf.queue end,
      enqueue = function(...) table.insert(enqueued, { ... }) return true end,
    }
    package.loaded["moongate.http.client"] = { request = function(opts)
      local copy = {}
      for name, value in pairs(opts) do
        copy[name] = value
      end
      sent[#sent + 1] = copy
      return answer, answer == nil and "a.test:80: connection refused" or nil
    end }
    package.loaded["moongate.pdk.log_record"] = { text = function() return '{"a":1}' end }
  end)

  after_each(function()
    for _, name in ipairs({ "queue", "http.client", "pdk.log_record" }) do
      package.loaded["moongate." .. name] = nil
    end
  end)

  local function conf(batch)
    return { http_endpoint = "http://u:p@a.test/x", method = "PUT", content_type = "application/json", timeout = 5,
      keepalive = 6, ssl_verify = false, headers = { ["X-Key"] = "k" }, queue = { max_batch_size = batch } }
  end

  local function deliver(config, entries)
    fake.run(fake.new("http-log", {}), "log", config)
    local item = enqueued[#enqueued]
    return item[2](item[3], entries)
  end

  it("has Kong's priority", function()
    assert.same(12, fake.new("http-log", {}).handler.PRIORITY)
  end)

  it("queues the record's text", function()
    local config = conf(1)
    fake.run(fake.new("http-log", {}), "log", config)
    assert.equal(config.queue, enqueued[1][1])
    assert.same('{"a":1}', enqueued[1][4])
  end)

  it("sends an object, or an array where batches may have several", function()
    assert.is_true(deliver(conf(1), { '{"a":1}' }))
    assert.is_true(deliver(conf(3), { '{"a":1}' }))
    assert.is_true(deliver(conf(3), { '{"a":1}', '{"b":2}' }))
    assert.same({ '{"a":1}', '[{"a":1}]', '[{"a":1},{"b":2}]' }, { sent[1].body, sent[2].body, sent[3].body })
    sent[1].body = nil
    assert.same({ url = "http://u:p@a.test/x", method = "PUT", timeout_ms = 5, keepalive = 6, ssl_verify = false,
      headers = { ["X-Key"] = "k", ["Content-Type"] = "application/json" } }, sent[1])
  end)

  it("fails without a 2xx, and tells no password", function()
    for _, status in ipairs({ 199, 302, 404, 500 }) do
      answer = { status = status }
      assert.same({ nil, "request to http://a.test/x returned HTTP status code " .. status },
        { deliver(conf(1), { "{}" }) })
    end
    answer = nil
    assert.same({ nil, "a.test:80: connection refused" }, { deliver(conf(1), { "{}" }) })
  end)
end)
