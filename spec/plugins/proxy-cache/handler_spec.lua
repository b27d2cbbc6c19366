local traffic = require "plugins.fake_traffic"
local fake_shdict = require "plugins.fake_shdict"

local TEXT = { ["Content-Type"] = "text/plain" }

local function conf(more)
  local out = { strategy = "memory", response_code = { 200 }, request_method = { "GET" }, content_type = { "text/plain" },
    cache_ttl = 300, cache_control = false, ignore_uri_case = false, memory = { dictionary_name = "d" },
    response_headers = { age = true, ["X-Cache-Status"] = true, ["X-Cache-Key"] = true } }
  for name, value in pairs(more or {}) do
    out[name] = value
  end
  return out
end

describe("proxy-cache", function()
  local plugin, shdict

  before_each(function()
    shdict = fake_shdict.new("d")
    plugin = traffic.new("proxy-cache", { ["moongate.abi.shdict"] = shdict })
  end)

  local function get(config, spec)
    local all = { path = "/a", route = { id = "r" } }
    for name, value in pairs(spec or {}) do
      all[name] = value
    end
    local answer = plugin:access(config, all)
    return plugin:answered("X-Cache-Status"), answer
  end

  -- The upstream answers; returns X-Cache-Status then.
  local function answer(config, headers, body, more)
    local fake = plugin.fake
    fake.status, fake.source = 200, "service"
    for name, value in pairs(more or {}) do
      fake[name] = value
    end
    for name, value in pairs(headers) do
      fake.response_lines[#fake.response_lines + 1] = { name, value }
    end
    plugin:run("header_filter", config)
    if plugin.wanted.body_filter then
      assert.same(table.concat(body or {}), plugin:filter(config, unpack(body or {})))
    end
    return plugin:answered("X-Cache-Status")
  end

  it("keeps a response and serves it, with its age", function()
    local config = conf()
    assert.same("Miss", (get(config)))
    answer(config, { ["Content-Type"] = "text/plain", ["X-A"] = "1", Connection = "close", ["Content-Length"] = "4",
      ["X-RateLimit-Remaining-Minute"] = "3" }, { "bo", "dy" })
    plugin.now = plugin.now + 7.6
    local status, hit = get(config)
    assert.same({ "Hit", { status = 200, body = "body", content_type = "text/plain" }, "7", "1" },
      { status, hit, plugin:answered("Age"), plugin:answered("X-A") })
    for _, name in ipairs({ "Connection", "Content-Length", "X-RateLimit-Remaining-Minute" }) do
      assert.is_nil(plugin:answered(name))
    end
    assert.same(300, next(shdict.dict) and select(2, next(shdict.dict)).ttl)
  end)

  it("asks again when the time is over", function()
    local config = conf({ storage_ttl = 1000 })
    get(config)
    answer(config, TEXT, { "x" })
    assert.same(1000, select(2, next(shdict.dict)).ttl)
    plugin.now = plugin.now + 300
    assert.same("Hit", (get(config)))
    plugin.now = plugin.now + 1
    assert.same("Refresh", (get(config)))
  end)

  it("bypasses other methods, statuses and types, cookies and Vary: *", function()
    local config = conf()
    assert.same("Bypass", (get(config, { method = "POST" })))
    for _, case in ipairs({ { TEXT, { status = 500 } }, { { ["Content-Type"] = "text/html" } }, { {} },
      { { ["Content-Type"] = "text/plain", ["Set-Cookie"] = "a=1" } },
      { { ["Content-Type"] = "text/plain", Vary = "*" } } }) do
      get(config)
      assert.same("Bypass", answer(config, case[1], { "x" }, case[2]))
    end
    assert.is_nil(next(shdict.dict))
  end)

  it("keeps nothing that broke off, that is too large, or that the gateway said itself", function()
    local config = conf()
    for _, case in ipairs({ { { "x" }, { broken = true } }, { { ("x"):rep(1001) } }, { { "x" }, { source = "exit" } } }) do
      get(config)
      answer(config, TEXT, case[1], case[2])
      assert.is_nil(next(shdict.dict))
    end
  end)

  it("tells requests apart by consumer or credentials, route, path, arguments and named headers", function()
    local seen = {}
    for _, case in ipairs({ {}, { target = "/a?x=1" }, { target = "/a?x=1", query = "x=1" }, { query = "x=1:y=2" },
      { query = "x=1&y=2" }, { path = "/b" }, { path = "/A" }, { route = { id = "q" } },
      { consumers = { { id = "c" } }, consumer_index = 0 }, { headers = { ["X-Vary"] = "1" } },
      { headers = { Authorization = "Bearer a" } }, { headers = { Authorization = "Bearer b" } } }) do
      get(conf({ vary_headers = { "x-vary" } }), case)
      local key = plugin:answered("X-Cache-Key")
      assert.is_nil(seen[key])
      seen[key] = true
    end
    get(conf({ vary_headers = { "x-vary" } }), { headers = { ["X-Other"] = "1" } })
    assert.is_true(seen[plugin:answered("X-Cache-Key")])
    get(conf({ vary_query_params = { "y" }, vary_headers = { "x-vary" } }), { query = "x=1" })
    assert.is_true(seen[plugin:answered("X-Cache-Key")])
  end)

  it("ignores the case of paths where that is configured", function()
    local keys = {}
    for i, path in ipairs({ "/a", "/A" }) do
      get(conf({ ignore_uri_case = true }), { path = path })
      keys[i] = plugin:answered("X-Cache-Key")
    end
    assert.same(keys[1], keys[2])
  end)

  describe("with cache_control", function()
    local config = conf({ cache_control = true })

    it("follows the client", function()
      for _, text in ipairs({ "no-cache", "no-store" }) do
        assert.same("Bypass", (get(config, { headers = { ["Cache-Control"] = text } })))
      end
      assert.same("Bypass", (get(config, { headers = { Authorization = "x" } })))
      local _, refusal = get(config, { headers = { ["Cache-Control"] = "only-if-cached" } })
      assert.same(504, refusal.status)
    end)

    it("follows the upstream", function()
      for _, text in ipairs({ "no-cache", "no-store", "private", "max-age=0", "" }) do
        get(config)
        assert.same("Bypass", answer(config, { ["Content-Type"] = "text/plain", ["Cache-Control"] = text }, { "x" }))
      end
      get(config)
      answer(config, { ["Content-Type"] = "text/plain", ["Cache-Control"] = "max-age=20" }, { "x" })
      assert.same(20, select(2, next(shdict.dict)).ttl)
      plugin.now = plugin.now + 10
      assert.same("Hit", (get(config)))
      assert.same("Refresh", (get(config, { headers = { ["Cache-Control"] = "max-age=9" } })))
    end)
  end)

  it("serves a coded body only to those who know the coding", function()
    local config = conf()
    get(config)
    answer(config, { ["Content-Type"] = "text/plain", ["Content-Encoding"] = "gzip" }, { "x" })
    assert.same("Refresh", (get(config)))
    assert.same("Hit", (get(config, { headers = { ["Accept-Encoding"] = "br, GZIP" } })))
  end)

  it("says when there is no dictionary, and lets requests pass", function()
    local _, refusal = get(conf({ memory = { dictionary_name = "other" } }))
    assert.is_nil(refusal)
    assert.matches("shared dictionary other is missing", plugin.fake.logged[1].text, 1, true)
  end)

  it("can be emptied, key by key or whole, and touches nothing else", function()
    local store = require "moongate.cache.store"
    shdict.set(1, "another's", "x")
    for _, path in ipairs({ "/a", "/b" }) do
      get(conf(), { path = path })
      answer(conf(), TEXT, { path })
    end
    local key = plugin.kong and shdict.keys()[2]:gsub("^proxy%-cache:", "")
    assert.is_table(store.fetch("d", key))
    assert.is_true(store.purge("d", key))
    assert.is_false(store.purge("d", key))
    assert.same(1, store.flush("d"))
    assert.same({ "another's" }, shdict.keys())
  end)
end)
