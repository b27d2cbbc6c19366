-- response-ratelimiting in a gateway: in shared memory and in a real Redis.

require("e2e.support.expect")
local client = require("e2e.support.client")
local redis = require("e2e.support.redis")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")

local MORE = [[
routes:
- name: local
  paths: ["/local"]
  service: {name: app}
  plugins:
  - name: response-ratelimiting
    config: {limits: {video: {hour: 3}}}
- name: first
  paths: ["/first"]
  service: {name: app}
  plugins:
  - name: response-ratelimiting
    config: {limits: {video: {hour: 1}}, block_on_first_violation: true}
- name: redis
  paths: ["/redis"]
  service: {name: app}
  plugins:
  - name: response-ratelimiting
    config: {limits: {video: {hour: 3}}, policy: redis, redis: {host: 127.0.0.1, port: %d}}
]]

describe("response-ratelimiting", function()
  local gw, up, server

  setup(function()
    server = redis.start()
    gw, up = site.start({ more = MORE:format(server.port), upstream = { answer = function(request)
      local units = request.target:match("units=(%d+)")
      return { headers = { ["X-Kong-Limit"] = units and "video=" .. units or nil }, body = "ok" }
    end } })
  end)

  teardown(function()
    site.stop(gw, up)
    server:stop()
  end)

  local function get(path)
    return client.get(gw, path)
  end

  it("takes the units of a response before the client gets it", function()
    local response = get("/local?units=2")
    assert.same({ 200, "ok", "3", "1" }, { response.status, response.body,
      response:header("x-ratelimit-limit-video-hour"), response:header("x-ratelimit-remaining-video-hour") })
    assert.header(nil, response, "x-kong-limit")
    assert.same("3", up:last():header("x-ratelimit-remaining-video"))
    assert.status(200, get("/local?units=2"))
    response = get("/local?units=1")
    assert.status(429, response)
    assert.same('{"message":"API rate limit exceeded"}', response.body)
    assert.status(200, get("/local"))
    assert.same("0", up:last():header("x-ratelimit-remaining-video"))
  end)

  it("refuses before the upstream is asked", function()
    assert.status(200, get("/first?units=1"))
    local before = #up.requests
    assert.gateway_error(429, get("/first"))
    assert.same(before, #up.requests)
  end)

  it("counts in Redis after the response", function()
    assert.header("1", get("/redis?units=2"), "x-ratelimit-remaining-video-hour")
    sched.wait_until(function()
      return get("/redis"):header("x-ratelimit-remaining-video-hour") == "1"
    end)
    get("/redis?units=1")
    sched.wait_until(function()
      return get("/redis"):header("x-ratelimit-remaining-video-hour") == "0"
    end)
    assert.status(429, get("/redis?units=1"))
    assert.same(":1", server:command("DBSIZE"))
  end)
end)
