-- rate-limiting in gateways: exact over workers, over gateways that share a Redis, and calm when that Redis is not.

require("e2e.support.expect")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local redis = require("e2e.support.redis")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local upstream = require("e2e.support.upstream")

local function plugin(config)
  return "plugins:\n- name: rate-limiting\n  config: " .. config
end

-- `clients` connections send `each` requests, shared out over the gateways; counts by status.
local function flood(gateways, clients, each)
  local by_status, tasks = {}, {}
  for i = 1, clients do
    tasks[i] = sched.spawn(function()
      local c = client.connect(gateways[i % #gateways + 1])
      for _ = 1, each do
        local status = c:request({ path = "/" }).status
        by_status[status] = (by_status[status] or 0) + 1
      end
      c:close()
    end)
  end
  for _, task in ipairs(tasks) do
    task:join(30 * sched.slow)
  end
  return by_status
end

-- Runs fn within one hour of the clock: again when the hour turned meanwhile.
local function within_an_hour(fn)
  local hour
  repeat
    hour = math.floor(os.time() / 3600)
    fn()
  until hour == math.floor(os.time() / 3600)
end

describe("rate-limiting", function()
  it("admits exactly the limit over all workers and clients", function()
    within_an_hour(function()
      local gw, up = site.start({ workers = 2, route = plugin("{hour: 100}") })
      local ok, by_status = pcall(flood, { gw }, 64, 16)
      site.stop(gw, up)
      assert(ok, by_status)
      assert.same({ [200] = 100, [429] = 924 }, by_status)
    end)
  end)

  it("tells the client what is left, and when to come back", function()
    within_an_hour(function()
      local gw, up = site.start({ route = plugin("{hour: 2, day: 10}") })
      local function get() return client.get(gw, "/") end
      local first, second, third = get(), get(), get()
      site.stop(gw, up)
      assert.status(200, first)
      for name, values in pairs({
        ["X-RateLimit-Limit-Hour"] = { "2", "2", "2" }, ["X-RateLimit-Remaining-Hour"] = { "1", "0", "0" },
        ["X-RateLimit-Limit-Day"] = { "10", "10", "10" }, ["X-RateLimit-Remaining-Day"] = { "9", "8", "8" },
        ["RateLimit-Limit"] = { "2", "2", "2" }, ["RateLimit-Remaining"] = { "1", "0", "0" },
      }) do
        assert.same(values, { first:header(name), second:header(name), third:header(name) }, name)
      end
      local reset = tonumber(first:header("RateLimit-Reset"))
      assert.is_true(reset >= 1 and reset <= 3600)
      assert.is_nil(first:header("Retry-After"))
      assert.is_nil(first:header("X-RateLimit-Limit-Minute"))
      assert.gateway_error(429, third)
      assert.same("API rate limit exceeded", third:json().message)
      assert.same(third:header("RateLimit-Reset"), third:header("Retry-After"))
    end)
  end)

  it("counts each plugin instance and each client of its own", function()
    within_an_hour(function()
      local gw, up = site.start({
        settings = { trusted_ips = "127.0.0.1" },
        route = plugin("{hour: 1, limit_by: header, header_name: X-Who}"),
        service = [[
plugins:
- name: rate-limiting
  config: {hour: 1}
]],
        more = [[
routes:
- name: other
  paths: ["/other"]
  service: {name: app}
]],
      })
      local function get(path, who) return client.get(gw, path, { ["X-Who"] = who }).status end
      local statuses = { get("/", "a"), get("/", "b"), get("/", "a"), get("/other"), get("/other") }
      site.stop(gw, up)
      assert.same({ 200, 200, 429, 200, 429 }, statuses)
    end)
  end)

  it("goes on counting after a reload", function()
    within_an_hour(function()
      local gw, up = site.start({ route = plugin("{hour: 5}") })
      local before = client.get(gw, "/"):header("X-RateLimit-Remaining-Hour")
      gw:reload(site.config(up.url, { route = plugin("{hour: 6}") }))
      local after = sched.wait_until(function()
        local response = client.get(gw, "/")
        return response:header("X-RateLimit-Limit-Hour") == "6" and response
      end)
      local used = #up.requests
      site.stop(gw, up)
      assert.same("4", before)
      assert.same(tostring(6 - used), after:header("X-RateLimit-Remaining-Hour"))
    end)
  end)

  it("counts a group's consumers together and others by the route's instance", function()
    within_an_hour(function()
      local gw, up = site.start({
        route = "plugins:\n- name: key-auth\n- name: rate-limiting\n  config: {hour: 1}",
        more = [[
consumer_groups:
- name: gold
  plugins:
  - {name: rate-limiting, config: {hour: 3, limit_by: consumer-group}}
consumers:
- {username: alice, groups: [{name: gold}], keyauth_credentials: [{key: a}]}
- {username: bob, groups: [{name: gold}], keyauth_credentials: [{key: b}]}
- {username: carl, keyauth_credentials: [{key: c}]}
]],
      })
      local statuses = {}
      for i, key in ipairs({ "a", "b", "a", "b", "c", "c" }) do
        statuses[i] = client.get(gw, "/", { apikey = key }).status
      end
      site.stop(gw, up)
      assert.same({ 200, 200, 200, 429, 200, 429 }, statuses)
    end)
  end)

  it("answers with another status and text, and without headers, when told so", function()
    local gw, up = site.start({
      route = plugin("{year: 1, hide_client_headers: true, error_code: 403, error_message: no more}") })
    local first, second = client.get(gw, "/"), client.get(gw, "/")
    site.stop(gw, up)
    assert.status(200, first)
    assert.gateway_error(403, second)
    assert.same("no more", second:json().message)
    assert.is_nil(second.raw_head:lower():find("ratelimit", 1, true))
  end)
end)

describe("rate-limiting with Redis", function()
  local server

  before_each(function()
    server = redis.start()
  end)

  after_each(function()
    server:stop()
  end)

  local function config(url, more)
    return site.config(url, { route = plugin(("{hour: 50, policy: redis, redis: {host: 127.0.0.1, port: %d, timeout: 200}%s}")
      :format(server.port, more or "")) })
  end

  it("admits exactly the limit over two gateways", function()
    within_an_hour(function()
      server:command("FLUSHALL")
      local up = upstream.start()
      local one = gateway.start({ config = config(up.url), workers = 2 })
      local two = gateway.start({ config = config(up.url) })
      local ok, by_status = pcall(flood, { one, two }, 32, 16)
      one:stop()
      site.stop(two, up)
      assert(ok, by_status)
      assert.same({ [200] = 50, [429] = 462 }, by_status)
    end)
  end)

  it("lets requests pass while Redis hangs or is gone, and limits again afterwards", function()
    within_an_hour(function()
      local up = upstream.start()
      local gw = gateway.start({ config = config(up.url) })
      gw:expect_error("cannot count, letting requests pass: redis 127%.0%.0%.1:%d+: ")
      local ok, err = pcall(function()
        assert.header("49", client.get(gw, "/"), "X-RateLimit-Remaining-Hour")
        server:signal("STOP")
        for _ = 1, 5 do
          local response = client.get(gw, "/")
          assert.status(200, response)
          assert.is_nil(response:header("X-RateLimit-Limit-Hour"))
        end
        server:signal("CONT")
        sched.wait_until(function()
          return client.get(gw, "/"):header("X-RateLimit-Limit-Hour")
        end)
        server:kill()
        assert.same({ [200] = 20 }, flood({ gw }, 4, 5))
        server:run()
        sched.wait_until(function()
          return client.get(gw, "/"):header("X-RateLimit-Limit-Hour")
        end)
        assert.same(429, (function()
          local last
          for _ = 1, 50 do
            last = client.get(gw, "/").status
          end
          return last
        end)())
      end)
      site.stop(gw, up)
      assert(ok, err)
    end)
  end)

  it("fails where passing is not allowed", function()
    local up = upstream.start()
    local gw = gateway.start({ config = config(up.url, ", fault_tolerant: false") })
    gw:expect_error("rate%-limiting: cannot count: redis 127%.0%.0%.1:%d+: ")
    server:kill()
    local response = client.get(gw, "/")
    site.stop(gw, up)
    assert.gateway_error(500, response)
    assert.same(0, #up.requests)
  end)

  it("logs in and selects its database", function()
    server:stop()
    server = redis.start({ args = { "--requirepass", "open sesame" } })
    local up = upstream.start()
    local gw = gateway.start({ config = config(up.url)
      :gsub("timeout: 200}", 'timeout: 200, database: 3, password: "open sesame"}') })
    local response = client.get(gw, "/")
    site.stop(gw, up)
    assert.header("49", response, "X-RateLimit-Remaining-Hour")
  end)
end)
