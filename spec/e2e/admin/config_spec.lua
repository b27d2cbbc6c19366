-- POST /config: pipelines and controllers hand over a whole configuration. Also what the Kong Ingress
-- Controller calls, in its order.

require("e2e.support.expect")
local admin = require("e2e.admin.support")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local upstream = require("e2e.support.upstream")

local ZEROS = ("0"):rep(32)
local PUSH = "/config?check_hash=1&flatten_errors=1"

-- As the controller sends it: JSON, nested, with ids and tags.
local function tree(up, path)
  return {
    _format_version = "3.0",
    services = { {
      id = "7d9a2c1e-1111-4222-8333-444455556666", name = "default.app.80", host = "127.0.0.1", port = up.port, protocol = "http",
      tags = { "k8s-name:app", "k8s-namespace:default", "k8s-kind:Service" },
      routes = { { name = "default.app", paths = { path }, tags = { "k8s-name:ingress" }, strip_path = true } },
      plugins = { { name = "correlation-id", config = { header_name = "X-Id" } } },
    } },
    upstreams = { { name = "app.default.80.svc", targets = { { target = "127.0.0.1:9", weight = 1 } } } },
    consumers = { { username = "alice", ["keyauth_credentials"] = { { key = "sesame" } } } },
  }
end

describe("the Kong Ingress Controller's calls", function()
  local gw, api, up

  setup(function()
    up = upstream.start()
    up:answer(function() return { body = "here" } end)
    gw, api = admin.start({ config = false, workers = 2 })
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  it("finds an empty gateway, fills it, and finds it filled", function()
    local _, root = api:get("/")
    assert.same({ "off", "traditional_compatible" }, { root.configuration.database, root.configuration.router_flavor })
    local _, status = api:get("/status")
    assert.equal(ZEROS, status.configuration_hash)
    assert.equal(404, client.get(gw, "/app").status)
    assert.equal(200, (api:get("/schemas/plugins/correlation-id")))
    assert.equal(200, (api:post("/schemas/routes/validate", { name = "r", paths = { "/x" } })))

    local code, loaded = api:post(PUSH, tree(up, "/app"))
    assert.equal(201, code)
    assert.equal("default.app.80", loaded.services["7d9a2c1e-1111-4222-8333-444455556666"].name)
    for _ = 1, 8 do -- every worker has it
      assert.equal("here", client.get(gw, "/app").body)
    end
    local _, after = api:get("/status")
    assert.matches("^%x+$", after.configuration_hash)
    assert.not_equal(ZEROS, after.configuration_hash)
    assert.equal(2, after.config.workers_acked)
    local _, services = api:get("/services")
    assert.equal("default.app.80", services.data[1].name)
  end)

  it("is told when nothing has changed", function()
    assert.equal(201, (api:post(PUSH, tree(up, "/app2"))))
    assert.equal(304, (api:post(PUSH, tree(up, "/app2"))))
    assert.equal(201, (api:post("/config", tree(up, "/app2"))))
    assert.equal(201, (api:post(PUSH, tree(up, "/app"))))
  end)

  it("learns which entities are wrong, by id, name and tags", function()
    gw:expect_error("the posted configuration:")
    gw:expect_error("reload refused")
    local bad = tree(up, "/app")
    bad.services[1].port = 99999
    bad.services[1].routes[1].methods = { "get" }
    bad.services[1].plugins[1].config.generator = "none"
    local code, body = api:post(PUSH, bad)
    assert.same({ 400, 14, "invalid declarative configuration" }, { code, body.code, body.name })
    assert.matches("^declarative config is invalid: {services=", body.message)
    assert.equal("value should be between 0 and 65535", body.fields.services[1].port)
    local by_type = {}
    for _, flat in ipairs(body.flattened_errors) do
      by_type[flat.entity_type] = flat
    end
    local service = by_type.service
    assert.same({ "7d9a2c1e-1111-4222-8333-444455556666", "default.app.80" }, { service.entity_id, service.entity_name })
    assert.same({ "k8s-name:app", "k8s-namespace:default", "k8s-kind:Service" }, service.entity_tags)
    assert.same({ { type = "field", field = "port", message = "value should be between 0 and 65535" } }, service.errors)
    assert.equal("methods.1", by_type.route.errors[1].field)
    assert.equal("config.generator", by_type.plugin.errors[1].field)
    assert.equal("here", client.get(gw, "/app").body) -- the old one is in use
  end)

  it("is not told of entities without being asked", function()
    gw:expect_error("the posted configuration:")
    gw:expect_error("reload refused")
    local _, body = api:post("/config", { _format_version = "3.0", services = { { name = "x" } } })
    assert.equal(14, body.code)
    assert.is_nil(body.flattened_errors)
    assert.equal("required field missing", body.fields.services[1].host)
  end)

  it("waits for its turn", function()
    local tasks, seen = {}, {}
    for i = 1, 6 do
      tasks[i] = sched.spawn(function()
        local code, _, response = api:post(PUSH, tree(up, "/turn" .. i))
        seen[code] = (seen[code] or 0) + 1
        if code == 429 then
          assert.matches("^%d+$", response:header("retry-after"))
        end
      end)
    end
    for _, task in ipairs(tasks) do
      task:join(20 * sched.slow)
    end
    assert.is_true((seen[201] or 0) >= 1, "at least the first is taken")
    assert.equal(6, (seen[201] or 0) + (seen[429] or 0))
  end)

  it("finds the configuration again after a reload", function()
    assert.equal(201, (api:post(PUSH, tree(up, "/kept"))))
    gw:reload(nil, "configuration reloaded")
    assert.equal("here", client.get(gw, "/kept").body)
  end)

  it("does not find an Admin API that died for long", function()
    gw:expect_error("was killed by signal 9")
    local _, status = api:get("/status")
    local pids = status.memory.workers_lua_vms
    require("posix.signal").kill(pids[#pids].pid, 9)
    sched.wait_until(function()
      local ok, code = pcall(api.get, api, "/services/default.app.80")
      return ok and code == 200
    end)
    assert.equal("here", client.get(gw, "/kept").body)
  end)
end)

describe("POST /config", function()
  local gw, api, up

  setup(function()
    up = upstream.start()
    up:answer(function(request) return { body = request.target } end)
    gw, api = admin.start({ config = ('_format_version: "3.0"\nservices: [{name: file, url: "%s", routes: [{name: file, '
      .. 'paths: ["/file"], strip_path: false}]}]\n'):format(up.url) })
  end)

  teardown(function()
    gw:stop()
    up:stop()
  end)

  local YAML = '_format_version: "3.0"\nservices:\n- name: posted\n  url: %s\n  routes:\n  - {name: posted, paths: [/posted]}\n'

  it("takes YAML, as the body or as a field, until the files change", function()
    local text = YAML:format(up.url)
    local forms = {
      { body = text, headers = { ["Content-Type"] = "text/yaml" } },
      { json = { config = text } },
      { body = "config=" .. text:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end),
        headers = { ["Content-Type"] = "application/x-www-form-urlencoded" } },
    }
    for _, form in ipairs(forms) do
      assert.equal(201, (api:ask("POST", "/config", form)))
      assert.equal(200, client.get(gw, "/posted").status)
      assert.equal(404, client.get(gw, "/file").status)
    end
    gw:reload(nil, "configuration reloaded")
    assert.equal(404, client.get(gw, "/posted").status)
    assert.equal(200, client.get(gw, "/file").status)
  end)

  it("says what is no configuration", function()
    gw:expect_error("the posted configuration:")
    gw:expect_error("reload refused")
    local status, body = api:ask("POST", "/config", {})
    assert.same({ 400, "expected a declarative configuration" }, { status, body.message })
    status, body = api:ask("POST", "/config", { body = "a: [", headers = { ["Content-Type"] = "text/yaml" } })
    assert.same({ 400, 14 }, { status, body.code })
    assert.matches("failed parsing declarative configuration", body.fields.error)
    status, body = api:ask("POST", "/config", { body = "- a", headers = { ["Content-Type"] = "text/yaml" } })
    assert.same({ 400, "failed parsing declarative configuration: expected an object" }, { status, body.fields.error })
    status, body = api:ask("POST", "/config", { body = "{", headers = { ["Content-Type"] = "application/json" } })
    assert.same({ 400, "Cannot parse JSON body" }, { status, body.message })
  end)

  it("tells duplicates and dangling references", function()
    gw:expect_error("the posted configuration:")
    gw:expect_error("reload refused")
    local _, body = api:post("/config?flatten_errors=1", { _format_version = "3.0",
      services = { { name = "foo", host = "h" }, { name = "foo", host = "h" } }, routes = { { name = "r", paths = { "/" },
        service = "x" } } })
    assert.matches("uniqueness violation: 'services' entity with name set to 'foo' already declared", body.fields.services[2].name)
    assert.equal("invalid reference 'service: x' (no such entry in 'services')", body.fields.routes[1].service)
    assert.equal(2, #body.flattened_errors)
  end)
end)
