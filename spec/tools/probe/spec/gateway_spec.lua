local gw = require "moongate.spec"

describe("a gateway in the spec's process", function()
  local up

  setup(function()
    up = gw.upstream()
  end)

  local function start(plugins)
    return gw.start({ config = {
      services = { { name = "app", url = up.url, retries = 0,
        routes = { { name = "all", paths = { "/" }, strip_path = false } } } },
      plugins = plugins,
    } })
  end

  before_each(function()
    up:answer()
    start()
  end)

  it("proxies, and the upstream keeps what it was asked", function()
    local response = assert(gw.client():post("/path?a=1", { body = { n = 1 }, headers = { ["X-One"] = "1" } }))
    assert.response(response).has.status(200)
    local request = up:last()
    assert.same({ "POST", "/path", "a=1" }, { request.method, request.path, request.query })
    assert.request(request).has.header("X-One", "1")
    assert.request(response).has.queryparam("a")
    assert.equal(1, assert.request(request).has.jsonbody().n)
  end)

  it("runs the plugin, fresh in each gateway", function()
    for _ = 1, 2 do
      local gateway = start({ { name = "probe" } })
      local response = gateway:client():get("/")
      assert.response(response).has.status(201)
      assert.matches("^{\"HEADERS\"", response.body)
      assert.logged("%[probe%] served with 201")
    end
  end)

  it("waits for an upstream that delays", function()
    up:answer(function()
      return { delay = 0.02, body = "late" }
    end)
    local before = ngx.now()
    assert.equal("late", gw.client():get("/").body)
    ngx.update_time()
    assert.is_true(ngx.now() - before >= 0.019)
  end)

  it("sees a reset as a bad gateway", function()
    up:answer({ { reset = true } })
    assert.response(gw.client():get("/")).has.status(502)
  end)

  it("takes one answer without a list", function()
    for _ = 1, 2 do
      up:answer({ status = 418, body = "tea" })
      local response = gw.client():get("/")
      assert.same({ 418, "tea" }, { response.status, response.body })
    end
    up:answer(503)
    assert.response(gw.client():get("/")).has.status(503)
  end)

  it("sees an early close", function()
    up:answer({ { body = ("x"):rep(100), close_after = 10 } })
    local response = gw.client():get("/")
    assert.equal(("x"):rep(10), response.body)
    assert.truthy(response.truncated)
  end)

  it("passes chunks on as they come", function()
    up:answer({ { chunks = { "a", "bc", "d" }, chunk_delay = 0.01 } })
    assert.same({ "a", "bc", "d" }, gw.client():get("/").chunks)
  end)

  it("refuses what is no HTTP", function()
    up:answer({ { raw = "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n" } })
    assert.response(gw.client():get("/")).has.status(502)
  end)

  it("tells of an upstream function that failed", function()
    up:answer(function()
      error("no idea")
    end)
    assert.response(gw.client():get("/")).has.status(500)
    assert.matches("no idea", up.errors[1])
  end)

  it("has settings of its own", function()
    local gateway = gw.start({ config = { routes = { { name = "r", paths = { "/" } } } }, settings = { server_header = false } })
    assert.response(gateway:client():get("/")).has_no.header("Server")
  end)

  it("says what is wrong with a configuration or a setting", function()
    assert.error_matches(function()
      gw.start({ config = { plugins = { { name = "probe", config = { strict = 3 } } } } })
    end, "config.strict: expected a boolean", 1, true)
    assert.error_matches(function()
      gw.start({ settings = { nonsense = 1 } })
    end, "nonsense")
    assert.error_matches(function()
      gw.start({ settings = { workers = 2 } })
    end, "belongs to the whole process")
  end)

  it("ends with stop", function()
    local gateway = start()
    local client = gateway:client()
    client:get("/")
    gateway:stop()
    assert.error_matches(function()
      gw.client()
    end, "no gateway runs")
    assert.is_nil((client:get("/")))
  end)
end)
