-- The Admin API and the parts of the gateway that it reaches into: health of targets, the cache of proxy-cache.

require("e2e.support.expect")
local admin = require("e2e.admin.support")
local client = require("e2e.support.client")
local upstream = require("e2e.support.upstream")

local CONFIG = [[
_format_version: "3.0"
services:
- name: pool
  host: pool
  retries: 0
  routes:
  - {name: pool, paths: ["/pool"]}
- name: cached
  url: %s
  routes:
  - name: cached
    paths: ["/cached"]
    plugins:
    - name: proxy-cache
      config: {strategy: memory, content_type: ["text/plain"]}
upstreams:
- name: pool
  healthchecks: {passive: {healthy: {successes: 1}, unhealthy: {http_failures: 3}}}
  targets:
  - target: 127.0.0.1:%d
plugins:
- name: prometheus
  config: {upstream_health_metrics: true}
]]

describe("the Admin API", function()
  local gw, api, up

  setup(function()
    up = upstream.start()
    up:answer(function() return { headers = { ["Content-Type"] = "text/plain" }, body = "fresh" } end)
    gw, api = admin.start({ config = CONFIG:format(up.url, up.port), workers = 2 })
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  local function health()
    local status, body = api:get("/upstreams/pool/health")
    assert.equal(200, status)
    return body.data[1].health
  end

  it("shows and sets the health of targets for all workers", function()
    local target = "127.0.0.1:" .. up.port
    assert.equal("HEALTHY", health())
    assert.equal(204, (api:put("/upstreams/pool/targets/" .. target .. "/unhealthy")))
    assert.equal("UNHEALTHY", health())
    for _ = 1, 4 do
      assert.equal(503, client.get(gw, "/pool").status)
    end
    local _, whole = api:get("/upstreams/pool/health?balancer_health=1")
    assert.equal("UNHEALTHY", whole.data.health)
    local _, _, metrics = api:get("/metrics")
    assert.matches("kong_upstream_target_health{", metrics.body, 1, true)
    assert.equal(204, (api:post("/upstreams/pool/targets/" .. target .. "/" .. target .. "/healthy")))
    assert.equal("fresh", client.get(gw, "/pool").body)
    assert.equal(404, (api:put("/upstreams/pool/targets/127.0.0.1:1/healthy")))
    assert.equal(404, (api:get("/upstreams/none/health")))
  end)

  it("shows and empties the cache of proxy-cache", function()
    local first = client.get(gw, "/cached")
    local key = first:header("x-cache-key")
    assert.equal("Hit", client.get(gw, "/cached"):header("x-cache-status"))
    local status, entry = api:get("/proxy-cache/" .. key)
    assert.same({ 200, 200, "fresh" }, { status, entry.status, entry.body })
    assert.equal(204, (api:delete("/proxy-cache/" .. key)))
    assert.equal(404, (api:get("/proxy-cache/" .. key)))
    assert.equal("Miss", client.get(gw, "/cached"):header("x-cache-status"))
    local _, plugins = api:get("/routes/cached/plugins")
    assert.equal(200, (api:get("/proxy-cache/" .. plugins.data[1].id .. "/caches/" .. key)))
    assert.equal(204, (api:delete("/proxy-cache")))
    assert.equal("Miss", client.get(gw, "/cached"):header("x-cache-status"))
  end)
end)
