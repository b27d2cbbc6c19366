local gw = require "moongate.spec"

describe("unit mode", function()
  local probe = gw.plugin("probe")

  it("shows the request as the service would get it", function()
    local result = probe:run("access", { rewrite = true }, { method = "PUT", path = "/old?x=1", body = "in" })
    local up = result.upstream_request
    assert.same({ "POST", "other.test", 8080, "/new", "z=1", "in!" },
      { up.method, up.host, up.port, up.path, up.query, up.body })
    assert.equal(1, result.ngx_ctx.count)
  end)

  it("has fresh modules, dictionaries and timers in each test", function()
    local result = probe:run("access", {}, {})
    assert.is_false(result.exited)
    assert.equal(1, result.ngx_ctx.count)
    assert.equal(1, gw.clock:pending())
  end)

  it("freezes time: expiry and timers follow the clock", function()
    gw.clock:freeze(1000)
    local first = probe:run("access", {}, {})
    assert.equal(1000, first.ctx.at)
    local second = probe:run("access", {}, {})
    assert.response(second).has.status(429)
    assert.equal("again: exists", second.body)
    assert.equal(1, gw.clock:advance(61))
    assert.is_false(probe:run("access", {}, {}).exited)
  end)

  it("runs periodic timers of init_worker", function()
    probe:run("init_worker")
    assert.equal(3, gw.clock:advance(30))
  end)

  it("goes on with a result's request, over all phases", function()
    local result = probe:run("access", {}, { response = { status = 200, headers = { ["Content-Length"] = "4", ["X-Up"] = "1" },
      body = { "ab", "cd" } } })
    result = probe:run({ "header_filter", "body_filter", "log" }, {}, result)
    assert.equal("ABCD", result.body)
    assert.response(result).has.status(201)
    assert.response(result).has.header("X-Up", "1")
    assert.response(result).has_no.header("Content-Length")
    assert.logged("%[probe%] served with 201", result)
    assert.equal("notice", result.logs[1].level)
  end)

  it("refuses what a phase may not do", function()
    assert.error_matches(function()
      probe:run("log", { sleep_in_log = true }, {})
    end, "API disabled in the context of log_by_lua*", 1, true)
    assert.error_matches(function()
      probe:run("rewrite", {}, {})
    end, "no rewrite phase")
    assert.error_matches(function()
      probe:run("access", { strict = "yes" }, {})
    end, "config.strict: expected a boolean", 1, true)
  end)
end)

describe("a spec", function()
  it("may wait, and talk over cosockets", function()
    local up = gw.upstream({ 204 })
    local sock = ngx.socket.tcp()
    assert(sock:connect(up.host, up.port))
    sock:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.equal("HTTP/1.1 204 No Content", sock:receive("*l"))
    sock:close()
  end)

  it("has timers and light threads", function()
    local done = {}
    ngx.timer.at(0.005, function()
      done.timer = true
    end)
    local thread = ngx.thread.spawn(function()
      ngx.sleep(0.001)
      return "ended"
    end)
    local _, value = ngx.thread.wait(thread)
    assert.equal("ended", value)
    gw.wait_until(function()
      return done.timer
    end)
  end)
end)
