-- decK's calls, replayed by a client of our own: what it lists, writes and deletes, in its order and ten at a time, and what it
-- compares afterwards. (The real decK is run by hand: docs/admin-api.md says which version.)

require("e2e.support.expect")
local admin = require("e2e.admin.support")
local certs = require("e2e.support.certs")
local cjson = require("cjson")
local sched = require("e2e.support.sched")

local PARALLEL = 10

-- All must be there; `upstreams/{id}/targets` follows from the Upstreams.
local LISTS = { "services", "routes", "plugins", "consumers", "upstreams", "certificates", "snis", "ca_certificates", "vaults",
  "keys", "key-sets", "key-auths", "basic-auths", "hmac-auths", "jwts", "oauth2", "acls", "mtls-auths", "consumer_groups" }
-- decK asks for these too, and takes 404 for "there are none".
local UNKNOWN = { "partials", "licenses", "filter-chains", "cloned-plugins", "custom-plugins" }

-- The least configuration of every plugin.
local PLUGINS = {
  acl = { allow = { "g" } }, ["ai-mock"] = {}, ["basic-auth"] = {}, ["bot-detection"] = {}, ["correlation-id"] = {}, cors = {},
  ["ai-proxy"] = { route_type = "llm/v1/chat", auth = { header_name = "Authorization", header_value = "Bearer x" },
    model = { provider = "openai", name = "gpt-4o" } },
  datadog = {}, ["file-log"] = { path = "/tmp/x.log" }, ["hmac-auth"] = {},
  ["http-log"] = { http_endpoint = "http://127.0.0.1:9/" },
  ["ip-restriction"] = { allow = { "127.0.0.1" } }, jwt = {}, ["key-auth"] = {},
  ["key-injection"] = { header_name = "X-Key", header_value = "v" }, loggly = { key = "k" },
  mocking = { api_specification = "openapi: 3.0.0\npaths: {}\n" },
  opentelemetry = { traces_endpoint = "http://127.0.0.1:4318/v1/traces" }, ["post-function"] = { access = { "return" } },
  ["pre-function"] = { access = { "return" } }, prometheus = {}, ["proxy-cache"] = { strategy = "memory" },
  ["rate-limiting"] = { minute = 3 }, redirect = { location = "https://a.example" }, ["request-size-limiting"] = {},
  ["request-termination"] = {}, ["request-transformer"] = {},
  ["request-validator"] = { parameter_schema = { { ["in"] = "query", name = "a", required = true, style = "form", explode = true,
    schema = '{"type":"string"}' } } },
  ["response-ratelimiting"] = { limits = { video = { minute = 3 } } }, ["response-transformer"] = {}, statsd = {}, syslog = {},
  ["tcp-log"] = { host = "127.0.0.1", port = 9 }, ["udp-log"] = { host = "127.0.0.1", port = 9 },
}

local function id(n)
  return ("%08x-0000-4000-8000-%012x"):format(n, n)
end

local function read_file(path)
  local handle = assert(io.open(path))
  local text = handle:read("*a")
  handle:close()
  return text
end

-- Every entity as decK puts it: path, body. Levels are written one after another, what is in one in parallel.
local function levels()
  local pair = certs.pair("deck.example")
  local function consumer(path, n, body)
    body.id, body.consumer = id(n), { id = id(3) }
    return { "/consumers/" .. id(3) .. "/" .. path .. "/" .. id(n), body }
  end
  local plugins, n = {}, 1000
  for name, config in pairs(PLUGINS) do
    n = n + 1
    plugins[#plugins + 1] = { "/plugins/" .. id(n), { id = id(n), name = name, config = config, route = { id = id(2000 + n) } } }
  end
  local routes = { { "/routes/" .. id(20), { id = id(20), name = "r", paths = { "/r", "~/x/\\d+" }, service = { id = id(10) } } } }
  for i, plugin in ipairs(plugins) do
    local route = plugin[2].route.id
    routes[#routes + 1] = { "/routes/" .. route, { id = route, name = "r" .. i, paths = { "/r" .. i }, service = { id = id(10) } } }
  end
  routes[#routes + 1] = { "/upstreams/" .. id(12) .. "/targets/" .. id(21),
    { id = id(21), target = "127.0.0.1:9", weight = 10, upstream = { id = id(12) } } }
  return {
    { { "/certificates/" .. id(1), { id = id(1), cert = read_file(pair.certificate), key = read_file(pair.key) } },
      { "/ca_certificates/" .. id(2), { id = id(2), cert = read_file(certs.ca()) } },
      { "/consumers/" .. id(3), { id = id(3), username = "alice", custom_id = "a" } },
      { "/vaults/" .. id(4), { id = id(4), name = "env", prefix = "mine", config = { prefix = "X_" } } },
      { "/key-sets/" .. id(5), { id = id(5), name = "set" } } },
    { { "/consumer_groups/" .. id(6), { id = id(6), name = "gold" } },
      { "/snis/" .. id(7), { id = id(7), name = "deck.example", certificate = { id = id(1) } } },
      { "/services/" .. id(10), { id = id(10), name = "s", host = "h", port = 80, protocol = "http", tags = { "t" } } },
      { "/upstreams/" .. id(12), { id = id(12), name = "up" } },
      { "/keys/" .. id(13), { id = id(13), name = "k", kid = "k", jwk = '{"kty":"oct","k":"AAAA","kid":"k"}',
        set = { id = id(5) } } },
      consumer("key-auth", 14, { key = "sesame" }), consumer("basic-auth", 15, { username = "alice", password = "p" }),
      consumer("hmac-auth", 16, { username = "alice", secret = "s" }), consumer("jwt", 17, { key = "iss", secret = "s" }),
      consumer("acls", 18, { group = "g" }), consumer("oauth2", 19, { name = "app", client_id = "c", client_secret = "s" }) },
    routes, plugins,
  }
end

-- Calls of one level, ten at a time.
local function in_parallel(list, fn)
  local at, tasks = 0, {}
  for i = 1, PARALLEL do
    tasks[i] = sched.spawn(function()
      while at < #list do
        at = at + 1
        fn(list[at])
      end
    end)
  end
  for _, task in ipairs(tasks) do
    task:join(30 * sched.slow)
  end
end

-- Fills what the file leaves open from GET /schemas/..., as decK does before it compares.
local fill

-- A record's own default goes before those of its fields.
local function fill_field(field, value, default)
  if type(value) == "table" and field.type == "record" then
    return fill(field.fields, value, field.default)
  elseif type(value) == "table" and field.elements and field.elements.type == "record" then
    local out = {}
    for i, item in ipairs(value) do
      out[i] = fill(field.elements.fields, item)
    end
    return out
  elseif value == nil and field.type == "record" and field.required == true then
    return fill(field.fields, {}, field.default)
  elseif value == nil then
    return default ~= nil and default or field.default == nil and cjson.null or field.default
  end
  return value
end

function fill(fields, value, defaults)
  local out = {}
  for _, item in ipairs(fields) do
    local name, field = next(item)
    out[name] = fill_field(field, value[name], type(defaults) == "table" and defaults[name] or nil)
  end
  return out
end

describe("decK's calls", function()
  local gw, api, store

  setup(function()
    store = admin.directory()
    gw, api = admin.start({ config = false, store = store, workers = 2 })
  end)

  teardown(function()
    gw:stop()
    os.execute("rm -rf " .. store)
  end)

  local function list(path, size)
    local out, offset = {}, nil
    repeat
      local status, body = api:get(("/%s?size=%d%s"):format(path, size, offset and "&offset=" .. offset or ""))
      assert.equal(200, status, path)
      assert.is_table(body.data, path)
      for _, entity in ipairs(body.data) do
        assert.is_nil(out[entity.id], path .. " gives an entity twice")
        out[entity.id] = entity
      end
      offset = body.offset
    until offset == nil
    return out
  end

  it("find nothing in a new gateway", function()
    local _, root, response = api:get("/")
    assert.matches("^%d+%.%d+", root.version)
    assert.not_equal("off", root.configuration.database)
    assert.is_nil((response:header("server") or ""):find("ai-gateway", 1, true))
    in_parallel(LISTS, function(path)
      assert.same({}, list(path, 1000), path)
    end)
    for _, path in ipairs(UNKNOWN) do
      assert.equal(404, (api:get("/" .. path .. "?size=1000")))
    end
    assert.equal(404, (api:get("/schemas/consumer_group_plugins")))
    assert.equal(200, (api:get("/workspaces/default")))
    assert.equal(404, (api:get("/workspaces/other")))
  end)

  it("write every kind of entity and every plugin", function()
    local _, enabled = api:get("/plugins/enabled")
    for _, name in ipairs(enabled.enabled_plugins) do
      assert.is_table(PLUGINS[name], "this spec does not know plugin " .. name)
    end
    for _, level in ipairs(levels()) do
      in_parallel(level, function(call)
        local status, body = api:put(call[1], call[2])
        assert.equal(200, status, call[1] .. ": " .. tostring(body and body.message))
        assert.equal(call[2].id, body.id)
      end)
    end
    assert.equal(201, (api:post("/consumer_groups/" .. id(6) .. "/consumers", { consumer = id(3) })))
    local _, group = api:get("/consumer_groups/gold")
    assert.equal(id(3), group.consumers[1].id)
  end)

  it("read back what they wrote, in pages of two", function()
    local all = {}
    in_parallel(LISTS, function(path)
      for key, entity in pairs(list(path, 2)) do
        all[key] = entity
      end
    end)
    for key, entity in pairs(list("upstreams/" .. id(12) .. "/targets", 2)) do
      all[key] = entity
    end
    local n = 0
    for _, level in ipairs(levels()) do
      for _, call in ipairs(level) do
        n = n + 1
        local entity = all[call[2].id]
        assert.is_table(entity, call[1])
        assert.is_true(entity.created_at == math.floor(entity.created_at))
        for name, value in pairs(call[2]) do
          if name ~= "config" then
            assert.same(value, entity[name], call[1] .. "." .. name)
          end
        end
      end
    end
    assert.is_true(n > 2 * #LISTS)
    local tagged = list("services?tags=t&x=1", 1000)
    assert.is_table(tagged[id(10)])
  end)

  it("find no difference to the defaults of the schemas", function()
    local plugins = list("plugins", 1000)
    for _, plugin in pairs(plugins) do
      local _, schema = api:get("/schemas/plugins/" .. plugin.name)
      local fields = {}
      for _, item in ipairs(schema.fields) do
        fields[next(item)] = select(2, next(item))
      end
      assert.same(fill(fields.config.fields, PLUGINS[plugin.name]), plugin.config, plugin.name)
      assert.equal(true, plugin.enabled)
      assert.is_true(#plugin.protocols > 0)
      assert.equal(cjson.null, plugin.ordering)
    end
    for kind, path in pairs({ services = "services", routes = "routes", upstreams = "upstreams",
      targets = "upstreams/" .. id(12) .. "/targets" }) do
      local _, schema = api:get("/schemas/" .. kind)
      for _, entity in pairs(list(path, 1000)) do
        assert.same(fill(schema.fields, entity), entity, kind)
      end
    end
  end)

  it("validate what they read", function()
    for kind, path in pairs({ services = "services", routes = "routes", plugins = "plugins", upstreams = "upstreams",
      consumers = "consumers", certificates = "certificates", snis = "snis", ca_certificates = "ca_certificates", vaults = "vaults",
      keyauth_credentials = "key-auths", basicauth_credentials = "basic-auths", hmacauth_credentials = "hmac-auths",
      jwt_secrets = "jwts", acls = "acls", targets = "upstreams/" .. id(12) .. "/targets" }) do
      for _, entity in pairs(list(path, 1000)) do
        local status, body = api:post("/schemas/" .. kind .. "/validate", entity)
        assert.equal(200, status, kind .. ": " .. tostring(body.message))
      end
    end
  end)

  it("take everything away again", function()
    local reversed = levels()
    api:delete("/consumer_groups/" .. id(6) .. "/consumers/" .. id(3))
    for i = #reversed, 1, -1 do
      in_parallel(reversed[i], function(call)
        assert.equal(204, (api:delete(call[1])), call[1])
      end)
    end
    for _, path in ipairs(LISTS) do
      assert.same({}, list(path, 1000), path)
    end
  end)
end)
