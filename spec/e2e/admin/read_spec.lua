-- The Admin API with a configuration from files: what it shows, that it changes nothing, and who may ask.

require("e2e.support.expect")
local admin = require("e2e.admin.support")
local certs = require("e2e.support.certs")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")

local CONFIG = [[
_format_version: "3.0"
services:
- name: app
  url: http://127.0.0.1:9/base
  tags: [blue, old]
  routes:
  - {name: first, paths: ["/a"], tags: [blue]}
  - {name: second, paths: ["/b"]}
  - {name: third, paths: ["/c"], tags: [blue, old]}
  plugins:
  - name: key-auth
consumers:
- username: alice
  keyauth_credentials:
  - key: sesame
  groups: [{name: gold}]
- username: bob
consumer_groups:
- name: gold
upstreams:
- name: up
  targets:
  - target: 127.0.0.1:9
]]

local function names(body)
  local out = {}
  for i, entity in ipairs(body.data) do
    out[i] = entity.name
  end
  table.sort(out)
  return out
end

describe("the Admin API over files", function()
  local gw, api

  setup(function()
    gw, api = admin.start({ config = CONFIG, workers = 2 })
  end)

  teardown(function()
    gw:stop()
  end)

  it("says who it is as Kong's clients ask", function()
    local status, root = api:get("/")
    assert.equal(200, status)
    assert.matches("^3%.9%.%d+$", root.version)
    assert.equal("off", root.configuration.database)
    assert.equal("traditional_compatible", root.configuration.router_flavor)
    assert.equal(gw.port, root.configuration.proxy_listeners[1].port)
    assert.same({ "key-auth" }, root.plugins.enabled_in_cluster)
    assert.is_number(root.plugins.available_on_server["key-auth"].priority)
  end)

  it("shows every field of an entity, null when it is unset", function()
    local _, service, response = api:get("/services/app")
    assert.same({ "http", "127.0.0.1", 9, "/base", 5, 60000, true }, { service.protocol, service.host, service.port,
      service.path, service.retries, service.read_timeout, service.enabled })
    assert.matches('"tls_verify":null', response.body, 1, true)
    local _, by_id = api:get("/services/" .. service.id)
    assert.same(service, by_id)
  end)

  it("shows what is below another entity, and what an entity refers to", function()
    local _, routes = api:get("/services/app/routes")
    assert.same({ "first", "second", "third" }, names(routes))
    local _, plugins = api:get("/services/app/plugins")
    assert.equal("key-auth", plugins.data[1].name)
    local _, service = api:get("/routes/first/service")
    assert.equal("app", service.name)
    local _, keys = api:get("/consumers/alice/key-auth")
    assert.equal("sesame", keys.data[1].key)
    assert.equal(200, (api:get("/consumers/alice/key-auth/sesame")))
    assert.equal(404, (api:get("/consumers/bob/key-auth/sesame")))
    local _, targets = api:get("/upstreams/up/health")
    assert.equal("127.0.0.1:9", targets.data[1].target)
    assert.is_string(targets.data[1].health)
  end)

  it("shows members of consumer groups from both sides", function()
    local _, group = api:get("/consumer_groups/gold")
    assert.same({ "gold", "alice" }, { group.consumer_group.name, group.consumers[1].username })
    local _, without = api:get("/consumer_groups/gold?list_consumers=false")
    assert.is_nil(without.consumers)
    local _, groups = api:get("/consumers/alice/consumer_groups")
    assert.equal("gold", groups.data[1].name)
    local _, none, response = api:get("/consumers/bob/consumer_groups")
    assert.same({}, none.data)
    assert.matches('"data":[]', response.body, 1, true)
  end)

  it("pages in one order to the end", function()
    local seen, path, pages = {}, "/routes?size=2", 0
    while path do
      local _, body = api:get(path)
      for _, route in ipairs(body.data) do
        assert.is_nil(seen[route.id])
        seen[route.id] = true
      end
      pages, path = pages + 1, type(body.next) == "string" and body.next or nil
      assert.equal(path ~= nil, body.offset ~= nil)
    end
    local n = 0
    for _ in pairs(seen) do
      n = n + 1
    end
    assert.same({ 3, 2 }, { n, pages })
  end)

  it("finds by tags: all of them, or one of them", function()
    local _, all = api:get("/routes?tags=blue,old")
    assert.same({ "third" }, names(all))
    local _, any = api:get("/routes?tags=old/blue")
    assert.same({ "first", "third" }, names(any))
    local _, none = api:get("/routes?tags=red")
    assert.same({}, none.data)
  end)

  it("refuses bad pages and tags with Kong's codes", function()
    for query, want in pairs({ ["size=0"] = 9, ["size=1001"] = 9, ["size=x"] = 9, ["offset=nonsense"] = 7,
      ["tags=a,b/c"] = 11 }) do
      local status, body = api:get("/routes?" .. query)
      assert.same({ 400, want }, { status, body.code }, query)
    end
  end)

  it("says what is not there and what cannot be done", function()
    local status, body = api:get("/nothing")
    assert.same({ 404, "Not found" }, { status, body.message })
    assert.equal(404, (api:get("/services/nobody")))
    local response
    status, body, response = api:delete("/services")
    assert.same({ 405, "Method not allowed" }, { status, body.message })
    assert.equal("GET, HEAD, OPTIONS, POST", response:header("allow"))
    status, body, response = api:options("/services/app")
    assert.same({ 204, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT" }, { status, response:header("allow") })
    assert.is_nil(body)
    status, body, response = api:head("/services")
    assert.same({ 200, "" }, { status, response.body })
    assert.is_nil(body)
  end)

  it("refuses writes as Kong does without a database", function()
    local status, body = api:post("/services", { name = "x", host = "h" })
    assert.same({ 405, 12, "cannot create 'services' entities when not using a database" },
      { status, body.code, body.message })
    status, body = api:put("/services/app", { host = "h" })
    assert.same({ 405, "cannot create or update 'services' entities by 'name' when not using a database" },
      { status, body.message })
    status, body = api:patch("/services/" .. ("0"):rep(8) .. "-0000-4000-8000-" .. ("0"):rep(12), { host = "h" })
    assert.same({ 405, "cannot update 'services' entities when not using a database" }, { status, body.message })
    assert.equal(405, (api:delete("/consumers/alice/key-auth/sesame")))
    assert.equal(405, (api:post("/consumer_groups/gold/consumers", { consumer = "bob" })))
  end)

  it("shows schemas and validates by them", function()
    local _, schema = api:get("/schemas/services")
    assert.is_table(schema.fields)
    local _, plugin = api:get("/schemas/plugins/rate-limiting")
    local found = {}
    for _, item in ipairs(plugin.fields) do
      found[next(item)] = true
    end
    assert.is_true(found.config and found.protocols)
    assert.equal(404, (api:get("/schemas/plugins/no-such")))
    assert.equal(404, (api:get("/schemas/no-such")))
    local status, body = api:post("/schemas/services/validate", { name = "x", host = "h" })
    assert.same({ 200, "schema validation successful" }, { status, body.message })
    status, body = api:post("/schemas/routes/validate", { name = "x", paths = { "~/(" } })
    assert.same({ 400, 2 }, { status, body.code })
    assert.is_string(body.fields.paths["1"])
    status, body = api:post("/schemas/plugins/validate", { name = "rate-limiting", config = { minute = "x" } })
    assert.same({ 400, "expected a number" }, { status, body.fields.config.minute })
    status, body = api:post("/schemas/plugins/validate", { name = "no-such" })
    assert.same({ 400, 2 }, { status, body.code })
    assert.matches("not enabled", body.message)
  end)

  it("refuses what is no body", function()
    local json = { ["Content-Type"] = "application/json" }
    local cases = {
      { "{", json, 400, "Cannot parse JSON body" }, { "[1]", json, 400, "Cannot parse JSON body" },
      { '"x"', json, 400, "Cannot parse JSON body" }, { ('{"a":'):rep(100) .. "1" .. ("}"):rep(100), json, 400, "deeper" },
      { "a: b", { ["Content-Type"] = "text/yaml" }, 415, "Unsupported" }, { "x", {}, 415, "Unsupported" },
    }
    for _, case in ipairs(cases) do
      local status, body = api:ask("POST", "/schemas/services/validate", { body = case[1], headers = case[2] })
      assert.equal(case[3], status, case[1])
      assert.matches(case[4], body.message, 1, true)
    end
    local status, body = api:ask("POST", "/schemas/services/validate", { body = ("x"):rep(9 * 1024 * 1024), headers = json })
    assert.equal(413, status)
    assert.matches("larger than", body.message)
  end)

  it("takes forms, whose texts become what the fields are", function()
    local form = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    local status = api:ask("POST", "/schemas/services/validate",
      { body = "name=x&host=h&port=8080&enabled=false&tags[]=a&tags[]=b", headers = form })
    assert.equal(200, status)
    local body
    status, body = api:ask("POST", "/schemas/plugins/validate", { body = "name=rate-limiting&config.minute=many", headers = form })
    assert.same({ 400, "expected a number" }, { status, body.fields.config.minute })
  end)

  it("gives status, metrics and timers of the gateway", function()
    local _, mine = api:get("/status")
    local status = client.get(gw:status(), "/status"):json()
    assert.equal(status.configuration_hash, mine.configuration_hash)
    assert.equal(2, mine.config.workers)
    local _, _, metrics = api:get("/metrics")
    assert.matches("kong_node_info{", metrics.body, 1, true)
    assert.matches("moongate_config_info{hash=\"" .. mine.configuration_hash, metrics.body, 1, true)
    local _, timers = api:get("/timers")
    assert.is_number(timers.stats.sys.total)
    local _, enabled = api:get("/plugins/enabled")
    assert.is_true(#enabled.enabled_plugins > 20)
  end)

  it("sets the log level of every process", function()
    local _, level = api:get("/debug/node/log-level")
    assert.equal("log level: info", level.message)
    assert.equal(400, (api:put("/debug/node/log-level/loud")))
    assert.equal(200, (api:put("/debug/node/log-level/debug")))
    gw:wait_log("the log level is debug now")
    local _, after = api:get("/debug/node/log-level")
    assert.equal("log level: debug", after.message)
    assert.equal(200, (api:put("/debug/node/log-level/info")))
  end)

  it("gives the configuration as a file that loads to the same", function()
    local _, body = api:get("/config")
    local result = gateway.command({ "-t" }, { config = body.config })
    assert.equal(0, result.code, result.output)
  end)

  it("follows a reload of the files", function()
    gw:reload(CONFIG:gsub("name: second", "name: renamed"), "configuration reloaded")
    local _, routes = api:get("/services/app/routes")
    assert.same({ "first", "renamed", "third" }, names(routes))
  end)

  it("documents every path", function()
    local handle = assert(io.open("docs/admin-api.md"))
    local page = handle:read("*a")
    handle:close()
    local _, body = api:get("/endpoints")
    assert.is_true(#body.data > 60)
    for _, path in ipairs(body.data) do
      assert.matches("`" .. path .. "`", page, 1, true)
    end
  end)
end)

describe("who may ask the Admin API", function()
  local gw

  after_each(function()
    gw:stop()
  end)

  it("is whoever has the key, on every path", function()
    local api
    gw, api = admin.start({ config = CONFIG, settings = { admin_key = "open sesame" } })
    local with_key = admin.api(gw, { headers = { ["Kong-Admin-Token"] = "open sesame" } })
    local _, endpoints = with_key:get("/endpoints")
    local kept = client.connect(api.to)
    for _, path in ipairs(endpoints.data) do
      for _, method in ipairs({ "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD" }) do
        local response = kept:request({ method = method, path = (path:gsub("{%w+}", "x")) })
        assert.equal(401, response.status, method .. " " .. path)
      end
    end
    kept:close()
    for _, wrong in ipairs({ "", "open", "open sesam", "open sesame " .. "x" }) do
      assert.equal(401, (admin.api(gw, { headers = { ["Kong-Admin-Token"] = wrong } }):get("/")))
    end
  end)

  it("is no web page, when there is no key", function()
    local api
    gw, api = admin.start({ config = CONFIG })
    assert.equal(403, (api:ask("POST", "/services", { headers = { Origin = "https://evil.example" } })))
    assert.equal(403, (api:ask("GET", "/services", { headers = { Host = "evil.example" } })))
    assert.equal(200, (api:ask("GET", "/services", { headers = { Host = "localhost:8001" } })))
  end)

  it("is whoever shows a certificate of the CA", function()
    local pair = certs.pair("localhost")
    gw = gateway.start({ config = CONFIG, admin = "ssl",
      settings = { admin_client_ca = certs.ca(), admin_ssl_cert = pair.certificate, admin_ssl_cert_key = pair.key } })
    local mine = certs.pair("operator")
    local known = admin.api(gw, { tls = { key = mine.key, certificate = mine.certificate, verify = "peer", cafile = certs.ca() } })
    assert.equal(200, (known:get("/services")))
    local ok = pcall(admin.api(gw, { tls = {} }).get, admin.api(gw, { tls = {} }), "/services")
    assert.is_false(ok)
  end)
end)

describe("an Admin API that strangers could reach", function()
  local function start(settings)
    local env = { MOONGATE_ADMIN_LISTEN = "0.0.0.0:0", MOONGATE_PROXY_LISTEN = "127.0.0.1:0", MOONGATE_STATUS_LISTEN = "off" }
    for name, value in pairs(settings) do
      env[name] = value
    end
    return gateway.command({ "start" }, { config = "x: 1", env = env })
  end

  it("does not start without a key", function()
    local result = start({})
    assert.equal(2, result.code)
    assert.matches("admin_listen (environment MOONGATE_ADMIN_LISTEN): 0.0.0.0:0 can be reached from other machines",
      result.output, 1, true)
    assert.equal(2, start({ MOONGATE_ADMIN_CLIENT_CA = certs.ca() }).code) -- no ssl: nobody shows a certificate
  end)

  it("starts with one, or when it is told to", function()
    for name, value in pairs({ MOONGATE_ADMIN_KEY = "k", MOONGATE_ADMIN_UNPROTECTED = "on" }) do
      assert.matches("the configuration is invalid", start({ [name] = value }).output, 1, true) -- it got as far as that
    end
  end)
end)
