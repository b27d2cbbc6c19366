-- The Admin API with a store: every kind of entity is written, checked, in use, on the disk, and there again after a restart.

require("e2e.support.expect")
local admin = require("e2e.admin.support")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")
local upstream = require("e2e.support.upstream")

local function read_file(path)
  local handle = io.open(path)
  local text = handle and handle:read("*a")
  if handle then
    handle:close()
  end
  return text
end

describe("writing through the Admin API", function()
  local gw, api, up, store

  setup(function()
    up = upstream.start()
    up:answer(function(request) return { body = request.target } end)
    store = admin.directory()
    gw, api = admin.start({ config = false, store = store, workers = 2 })
  end)

  teardown(function()
    gw:stop()
    up:stop()
    os.execute("rm -rf " .. store)
  end)

  it("makes a route that serves, and takes it away again", function()
    local status, service = api:post("/services", { name = "app", url = up.url })
    assert.same({ 201, "127.0.0.1", up.port }, { status, service.host, service.port })
    local route
    status, route = api:post("/services/app/routes", { name = "app", paths = { "/app" }, strip_path = false })
    assert.equal(201, status)
    assert.equal(service.id, route.service.id)
    assert.equal("/app", admin.wait_proxy(gw, "/app", 200).body)
    assert.equal(204, (api:delete("/routes/app?wait=1")))
    assert.equal(404, client.get(gw, "/app").status)
    assert.equal(404, (api:get("/routes/app")))
  end)

  it("makes a credential's key once, when none is given", function()
    api:post("/consumers", { username = "keyless" })
    local status, made = api:post("/consumers/keyless/key-auth", {})
    assert.equal(201, status)
    assert.truthy(made.key:find("^%w+$") and #made.key == 32, made.key)
    local _, changed = api:patch("/consumers/keyless/key-auth/" .. made.id, { tags = { "a" } })
    assert.equal(made.key, changed.key)
    sched.wait_until(function()
      return (read_file(store .. "/moongate.json") or ""):find(made.key, 1, true)
    end)
    assert.equal(204, (api:delete("/consumers/keyless")))
  end)

  it("replaces with PUT, changes with PATCH", function()
    local id = "11111111-2222-4333-8444-555555555555"
    local status, made = api:put("/services/" .. id, { name = "put", host = "h", retries = 2, tags = { "a" } })
    assert.same({ 200, id, 2 }, { status, made.id, made.retries })
    local _, again = api:put("/services/put", { host = "other" })
    -- what is not named is the default again
    assert.same({ id, "put", "other", 5 }, { again.id, again.name, again.host, again.retries })
    assert.equal(made.created_at, again.created_at)
    local _, changed = api:patch("/services/" .. id, { read_timeout = 1000 })
    assert.same({ "put", "other", 1000 }, { changed.name, changed.host, changed.read_timeout })
    local plugin
    status, plugin = api:post("/services/put/plugins", { name = "rate-limiting", config = { minute = 5, hour = 9 } })
    assert.equal(201, status)
    _, changed = api:patch("/plugins/" .. plugin.id, { config = { minute = 6 } })
    assert.same({ 6, 9, "local" }, { changed.config.minute, changed.config.hour, changed.config.policy })
    status, made = api:put("/services/by-name", { host = "h" })
    assert.same({ 200, "by-name" }, { status, made.name })
    assert.equal(204, (api:delete("/services/by-name")))
    assert.equal(204, (api:delete("/services/by-name")))
    assert.equal(404, (api:patch("/services/by-name", { host = "h" })))
    assert.equal(204, (api:delete("/plugins/" .. plugin.id)))
    assert.equal(204, (api:delete("/services/put")))
  end)

  it("refuses what is wrong, and keeps nothing of it", function()
    local _, mine = api:post("/services", { name = "mine", host = "h" })
    local nobody = "99999999-2222-4333-8444-555555555555"
    local cases = {
      { "POST", "/services", { name = "x" }, 400, 2, "schema violation (host: required field missing)" },
      { "POST", "/services", { name = "x", host = "h", port = 0.5, retries = -1 }, 400, 2, "2 schema violations (" },
      { "POST", "/services", { name = "x", host = "h", colour = "red" }, 400, 2, "unknown field" },
      { "POST", "/services", { name = "mine", host = "h" }, 409, 5, "UNIQUE violation detected on '{name=\"mine\"}'" },
      { "POST", "/services", { id = mine.id, host = "h" }, 400, 3, "primary key violation on key" },
      { "POST", "/routes", { name = "x", paths = { "/x" }, service = { id = nobody } }, 400, 4,
        "does not reference an existing 'services' entity" },
      { "POST", "/plugins", { name = "no-such-plugin" }, 400, 2, "not enabled" },
      { "PUT", "/targets/x", { weight = 1 }, 404, nil, "Not found" },
      { "POST", "/services/nobody/routes", { paths = { "/x" } }, 404, nil, "Not found" },
      { "POST", "/consumers", {}, 400, 2, "custom_id" },
      { "POST", "/consumer_groups/none/consumers", { consumer = "x" }, 404, nil, "Not found" },
    }
    for _, case in ipairs(cases) do
      local status, body = api:ask(case[1], case[2], { json = case[3] })
      assert.same({ case[4], case[5] }, { status, body.code }, case[2] .. ": " .. tostring(body.message))
      assert.matches(case[6], body.message, 1, true)
    end
    local _, services = api:get("/services")
    for _, service in ipairs(services.data) do
      assert.not_equal("x", service.name)
    end
    assert.equal(204, (api:delete("/services/mine")))
  end)

  it("keeps what others need, and takes along what is only theirs", function()
    api:post("/services", { name = "parent", host = "h" })
    api:post("/services/parent/routes", { name = "child", paths = { "/child" } })
    local _, plugin = api:post("/routes/child/plugins", { name = "cors" })
    local status, body = api:delete("/services/parent")
    assert.same({ 400, 4, "an existing 'routes' entity references this 'services' entity" }, { status, body.code, body.message })
    assert.equal(204, (api:delete("/routes/child")))
    assert.equal(404, (api:get("/plugins/" .. plugin.id)))
    assert.equal(204, (api:delete("/services/parent")))
    api:post("/consumers", { username = "carol" })
    api:post("/consumers/carol/key-auth", { key = "carols" })
    assert.equal(204, (api:delete("/consumers/carol")))
    assert.equal(404, (api:get("/key-auths/carols")))
  end)

  it("lets one plugin stand once in a place, one target once in an upstream", function()
    api:post("/services", { name = "once", host = "h" })
    assert.equal(201, (api:post("/services/once/plugins", { name = "cors" })))
    local status, body = api:post("/services/once/plugins", { name = "cors" })
    assert.same({ 409, 5 }, { status, body.code })
    assert.equal(201, (api:post("/plugins", { name = "cors" })))
    api:post("/upstreams", { name = "pool" })
    assert.equal(201, (api:post("/upstreams/pool/targets", { target = "127.0.0.1:9" })))
    assert.equal(409, (api:post("/upstreams/pool/targets", { target = "127.0.0.1:9" })))
    assert.equal(200, (api:patch("/upstreams/pool/targets/127.0.0.1:9", { weight = 5 })))
    assert.equal(204, (api:delete("/upstreams/pool")))
    assert.equal(204, (api:delete("/services/once")))
    local _, plugins = api:get("/plugins")
    for _, plugin in ipairs(plugins.data) do
      assert.equal(204, (api:delete("/plugins/" .. plugin.id)))
    end
  end)

  it("puts consumers into groups and takes them out", function()
    api:post("/consumers", { username = "dave" })
    api:post("/consumer_groups", { name = "silver" })
    local status, joined = api:post("/consumer_groups/silver/consumers", { consumer = "dave" })
    assert.same({ 201, "silver", "dave" }, { status, joined.consumer_group.name, joined.consumers[1].username })
    assert.equal(409, (api:post("/consumers/dave/consumer_groups", { group = "silver" })))
    local _, group = api:get("/consumer_groups/silver")
    assert.equal("dave", group.consumers[1].username)
    assert.equal(204, (api:delete("/consumers/dave/consumer_groups/silver")))
    assert.equal(404, (api:delete("/consumer_groups/silver/consumers/dave")))
    api:delete("/consumers/dave")
    api:delete("/consumer_groups/silver")
  end)

  it("puts many writes in use in few steps", function()
    local before = gw:metrics()['moongate_config_reloads_total{result="ok"}'] or 0
    local _, service = api:post("/services", { name = "many", url = up.url })
    local kept = client.connect(api.to)
    for i = 1, 100 do
      local body = ('{"name":"m%d","paths":["/m%d"],"service":{"id":"%s"}}'):format(i, i, service.id)
      local response = kept:request({ method = "POST", path = "/routes", body = body,
        headers = { Host = "localhost", ["Content-Type"] = "application/json" } })
      assert.equal(201, response.status)
    end
    kept:close()
    admin.wait_proxy(gw, "/m100", 200)
    local steps = gw:metrics()['moongate_config_reloads_total{result="ok"}'] - before
    assert.is_true(steps < 20, steps .. " reloads")
    assert.equal(200, client.get(gw, "/m1").status)
  end)

  it("has on the disk what it answered, however it ends", function()
    assert.equal(201, (api:post("/services", { name = "last", host = "h", tags = { "kept" } })))
    gw:stop() -- nothing was waited for
    local text = read_file(store .. "/moongate.json")
    assert.matches('"name":"last"', text, 1, true)
    local mode = io.popen("stat -c %a " .. store .. "/moongate.json"):read("*l")
    assert.equal("600", mode)
    assert.equal(0, gateway.command({ "-t" }, { config = text }).code)
    gw, api = admin.start({ config = false, store = store, workers = 2 })
    local _, service = api:get("/services/last")
    assert.same({ "kept" }, service.tags)
    assert.equal(200, client.get(gw, "/m7").status)
  end)

  it("takes a whole configuration into the store", function()
    local status = api:post("/config", { _format_version = "3.0", services = { { name = "whole", url = up.url,
      routes = { { name = "whole", paths = { "/whole" } } } } } })
    assert.equal(201, status)
    assert.equal(200, client.get(gw, "/whole").status)
    assert.equal(404, client.get(gw, "/m7").status)
    assert.matches('"name":"whole"', read_file(store .. "/moongate.json"), 1, true)
    local code, body = api:post("/config", { _format_version = "3.0", services = { { name = "bad" } } })
    assert.same({ 400, 14 }, { code, body.code })
    assert.equal(200, client.get(gw, "/whole").status)
    gw:reload(nil, "configuration reloaded")
    assert.equal(200, (api:get("/services/whole")))
  end)

  it("drops what the whole refuses, and says so", function()
    gw:expect_error("no%-such%-secret")
    gw:expect_error("reload refused")
    gw:expect_error("is refused, what was written since")
    local status, body = api:post("/consumers?wait=1", { username = "erin" })
    assert.equal(201, status, body.message)
    status, body = api:post("/consumers/erin/key-auth?wait=1", { key = "{vault://env/no-such-secret}" })
    assert.same({ 400, 14 }, { status, body.code })
    assert.matches("refused as a whole", body.message)
    local _, keys = api:get("/consumers/erin/key-auth")
    assert.same({}, keys.data)
    assert.equal(200, (api:get("/consumers/erin")))
    assert.is_nil(read_file(store .. "/moongate.json"):find("no-such-secret", 1, true))
    assert.equal(200, client.get(gw, "/whole").status)
  end)
end)

describe("a store that begins with files", function()
  local gw, store

  teardown(function()
    gw:stop()
    os.execute("rm -rf " .. store)
  end)

  it("takes them over once", function()
    local config = '_format_version: "3.0"\nservices: [{name: seed, host: h}]\n'
    local api
    store = admin.directory()
    gw, api = admin.start({ config = config, store = store })
    assert.equal(200, (api:get("/services/seed")))
    assert.is_nil(read_file(store .. "/moongate.json"))
    assert.equal(201, (api:post("/services?wait=1", { name = "more", host = "h" })))
    assert.matches('"name":"seed"', read_file(store .. "/moongate.json"), 1, true)
    gw:write_config({ ["kong.yaml"] = (config:gsub("seed", "later")) })
    gw:signal("HUP")
    gw:wait_log("configuration reloaded.*")
    sched.wait_until(function()
      return (api:get("/services/more")) == 200
    end)
    assert.equal(404, (api:get("/services/later")))
  end)
end)
