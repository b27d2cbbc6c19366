local helpers = require "spec.helpers"

local PLUGIN_NAME = "greeter"

for _, strategy in helpers.all_strategies() do
  describe(PLUGIN_NAME .. ": (access) [#" .. strategy .. "]", function()
    local client

    lazy_setup(function()
      local bp = helpers.get_db_utils(strategy == "off" and "postgres" or strategy, nil, { PLUGIN_NAME })
      local greeted = bp.routes:insert({ hosts = { "greeted.test" } })
      bp.plugins:insert({ name = PLUGIN_NAME, route = { id = greeted.id }, config = { ban = "mallory" } })

      local keyed = bp.routes:insert({ hosts = { "keyed.test" } })
      bp.plugins:insert({ name = "key-auth", route = { id = keyed.id }, config = {} })
      local consumer = bp.consumers:insert({ username = "alice" })
      bp.keyauth_credentials:insert({ key = "open", consumer = { id = consumer.id } })

      bp.routes:insert({ hosts = { "plain.test" }, service = bp.services:insert({
        host = helpers.mock_upstream_host, port = helpers.mock_upstream_port, path = "/status/418",
      }) })

      assert(helpers.start_kong({
        database = strategy,
        nginx_conf = "spec/fixtures/custom_nginx.template",
        plugins = "bundled," .. PLUGIN_NAME,
        declarative_config = strategy == "off" and helpers.make_yaml_file() or nil,
      }))
    end)

    lazy_teardown(function()
      helpers.stop_kong(nil, true)
    end)

    before_each(function()
      client = helpers.proxy_client()
    end)

    after_each(function()
      if client then
        client:close()
      end
    end)

    it("greets the service", function()
      local r = client:get("/request", { headers = { host = "greeted.test" } })
      assert.response(r).has.status(200)
      assert.equal("greeted", assert.request(r).has.header("x-greeting"))
      assert.response(r).has.header("X-Number")
      assert.response(r).has_no.header("X-Reason")
    end)

    it("turns one away", function()
      helpers.clean_logfile()
      local r = assert(client:send({ method = "GET", path = "/", query = { name = "mallory" },
        headers = { Host = "greeted.test" } }))
      local body = assert.res_status(403, r)
      assert.matches("not you, mallory", body, 1, true)
      assert.equal("not you, mallory", assert.response(r).has.jsonbody().message)
      assert.logfile().has.line("turned away mallory", true)
      assert.logfile().has.no.line("[error]", true, 0)
    end)

    it("leaves other routes alone", function()
      local r = client:post("/", { headers = { host = "plain.test", ["Content-Type"] = "application/json" }, body = { a = 1 } })
      assert.response(r).has.status(418)
      assert.equal(1, assert.request(r).has.jsonbody().a)
      assert.request(r).has_no.header("x-greeting")
    end)

    it("has consumers and keys", function()
      assert.res_status(401, client:get("/", { headers = { host = "keyed.test" } }))
      local r = client:get("/?apikey=open&n=1", { headers = { host = "keyed.test" } })
      assert.response(r).has.status(200)
      assert.equal("alice", assert.request(r).has.header("x-consumer-username"))
      assert.equal("1", assert.request(r).has.queryparam("n"))
    end)

    it("has TLS", function()
      local tls = helpers.proxy_ssl_client(nil, "greeted.test")
      assert.response(tls:get("/", { headers = { host = "greeted.test" } })).has.status(200)
      tls:close()
    end)

    it("says that there is no Admin API", function()
      local admin = helpers.admin_client()
      assert.error_matches(function()
        admin:get("/routes")
      end, "there is no Admin API")
      admin:close()
    end)
  end)
end
