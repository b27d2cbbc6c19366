-- The small namespaces: vault, node, nginx, ip, table, configuration, events, tracing, telemetry.

local failure = require("lualib.pdk.failure")
local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()

before_each(function()
  fake:reset()
end)

describe("kong.vault", function()
  it("knows references", function()
    assert.is_true(kong.vault.is_reference("{vault://env/x}"))
    for _, text in ipairs({ "x", "{vault://env/x", "vault://env/x" }) do
      assert.is_false(kong.vault.is_reference(text))
    end
    assert.same({ name = "env", resource = "a", key = "b", config = { prefix = "P" }, version = 2 },
      kong.vault.parse_reference("{vault://env/a/b?prefix=P#2}"))
    local parts, err = kong.vault.parse_reference("{vault://env}")
    assert.is_nil(parts)
    assert.same("string", type(err))
  end)

  it("reads the environment", function()
    assert.same(os.getenv("HOME"), (kong.vault.get("{vault://env/home}")))
    local value, err = kong.vault.get("{vault://env/not-set-anywhere}")
    assert.is_nil(value)
    assert.truthy(err:find("NOT_SET_ANYWHERE is not set", 1, true))
    fake.raw.vaults = '[{"prefix":"mine","name":"env","config":{"prefix":"HO"}}]'
    assert.same(os.getenv("HOME"), (kong.vault.get("{vault://mine/me}")))
  end)

  it("reads files: as they were with the configuration, else now", function()
    fake.raw.vaults = '[{"prefix":"keys","name":"file","config":{"prefix":"/keys"}}]'
    fake.raw.secrets = '{"/keys/openai":"sk-1\\n","/keys/all":"{\\"token\\":\\"sk-2\\"}"}'
    assert.same("sk-1", (kong.vault.get("{vault://keys/openai}")))
    assert.same("sk-1", (kong.vault.get("{vault://file/openai}")))
    assert.same("sk-2", (kong.vault.get("{vault://keys/all/token}")))
    for reference, why in pairs({
      ["{vault://keys/none}"] = "file '/keys/none' cannot be read: ",
      ["{vault://keys/../etc/passwd}"] = "the path has an empty, '.' or '..' segment",
    }) do
      local value, err = kong.vault.get(reference)
      assert.is_nil(value)
      assert.truthy(err:find(why, 1, true), err)
    end
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("now")
    file:close()
    fake.raw.vaults = ('[{"prefix":"tmp","name":"file","config":{"prefix":"%s"}}]'):format(path:match("^(.*)/"))
    assert.same("now", (kong.vault.get("{vault://tmp/" .. path:match("[^/]+$") .. "}")))
    os.remove(path)
  end)

  it("tries again with secrets read anew", function()
    local config = { password = "old", ["$refs"] = { password = "{vault://env/home}" } }
    local result = kong.vault.try(function(options)
      return options.password ~= "old" and options.password or nil
    end, config)
    assert.same(os.getenv("HOME"), result)
  end)
end)

describe("kong.ip", function()
  for _, case in ipairs({
    { { "10.0.0.0/8" }, "10.255.0.1", true },
    { { "10.0.0.0/8" }, "11.0.0.1", false },
    { { "192.168.1.128/25" }, "192.168.1.127", false },
    { { "192.168.1.128/25" }, "192.168.1.200", true },
    { { "1.2.3.4" }, "1.2.3.4", true },
    { { "::/0" }, "1.2.3.4", true },
    { { "fd00::/8" }, "fd12::1", true },
    { { "fd00::/8" }, "fe80::1", false },
    { { "10.0.0.0/8" }, "::ffff:10.1.1.1", true },
    { { "::1" }, "0:0:0:0:0:0:0:1", true },
    { { "::1" }, "x", false },
    { {}, "1.2.3.4", false },
  }) do
    it((case[3] and "trusts " or "does not trust ") .. case[2] .. " by " .. (case[1][1] or "nothing"), function()
      local cidr = require("moongate.pdk.cidr")
      assert.same(case[3], cidr.contains(cidr.list(case[1]), case[2]))
    end)
  end

  for _, text in ipairs({ "", "1.2.3", "1.2.3.256", "1.2.3.4/33", "::1/129", ":::1::", "1:2:3", "12345::", "x/8" }) do
    it("has no range " .. text, function()
      assert.is_nil(require("moongate.pdk.cidr").range(text))
    end)
  end

  it("asks the settings", function()
    fake.settings.trusted_ips = { "10.0.0.0/8" }
    assert.is_true(kong.ip.is_trusted("10.1.1.1"))
    assert.is_false(kong.ip.is_trusted("1.1.1.1"))
    assert.same("address must be a string", (failure(kong.ip.is_trusted, nil)))
  end)
end)

describe("kong", function()
  it("has a version that plugins compare", function()
    assert.same({ "3.9.0", 3009000, "default" }, { kong.version, kong.version_num, kong.default_workspace })
  end)

  it("says what the node is", function()
    assert.same("node", kong.node.get_id())
    assert.same("host", kong.node.get_hostname())
    assert.same({ { pid = 1, http_allocated_gc = 3145728 } }, kong.node.get_memory_stats().workers_lua_vms)
    assert.same("3.0 MiB", kong.node.get_memory_stats("M", 1).workers_lua_vms[1].http_allocated_gc)
    assert.same("invalid unit 'x' (expected 'k/K', 'm/M', or 'g/G')", (failure(kong.node.get_memory_stats, "x")))
    assert.same("http", kong.nginx.get_subsystem())
    assert.same(7, kong.nginx.get_statistics().total_requests)
    assert.is_nil((kong.cluster.get_id()))
  end)

  it("merges tables into new ones", function()
    local first = { a = 1, b = 2 }
    assert.same({ a = 1, b = 3 }, kong.table.merge(first, { b = 3 }))
    assert.same(2, first.b)
    assert.same({}, kong.table.merge(nil, nil))
    kong.table.clear(first)
    assert.same({}, first)
  end)

  it("has settings under the names of kong.conf", function()
    fake.settings.ca_file = "/ca.pem"
    assert.same("off", kong.configuration.database)
    assert.same("/ca.pem", kong.configuration.lua_ssl_trusted_certificate)
    assert.is_nil(kong.configuration.unknown)
    assert.same({ { "off" }, 0 }, { kong.configuration.tracing_instrumentations, kong.configuration.tracing_sampling_rate })
    fake.settings.tracing_instrumentations, fake.settings.tracing_sampling_rate = "request, balancer", "0.5"
    assert.same({ { "request", "balancer" }, 0.5 },
      { kong.configuration.tracing_instrumentations, kong.configuration.tracing_sampling_rate })
    assert.truthy((failure(function()
      kong.configuration.database = "postgres"
    end)):find("cannot write to kong.configuration", 1, true))
  end)

  it("delivers events in this worker", function()
    local seen = {}
    kong.worker_events.register(function(data, event)
      seen[#seen + 1] = event .. data
    end, "source", "one")
    kong.worker_events.post("source", "one", 1)
    kong.worker_events.post("source", "two", 2)
    kong.cluster_events:subscribe("channel", function(data)
      seen[#seen + 1] = data
    end)
    kong.cluster_events:broadcast("channel", "hello")
    assert.same({ "one1", "hello" }, seen)
  end)

  it("traces without effect", function()
    local span = kong.tracing.start_span("x")
    span:set_attribute("a", 1)
    span:add_event("e")
    span:record_error("e")
    span:set_status(2)
    span:finish()
    assert.is_nil(kong.tracing.active_span())
    assert.is_false(kong.tracing:get_sampling_decision())
  end)

  it("reports to telemetry by the log", function()
    assert.is_true(kong.telemetry.log("p", {}, "t", "m", { a = 1 }))
    assert.same('[kong] telemetry: [p] t: m {"a":1}', fake.logged[1].text)
    assert.same("plugin_config must be a table", (failure(kong.telemetry.log, "p")))
  end)

  it("has timers with names", function()
    kong.timer:named_at("n", 1, print, "x")
    assert.same({ 1, print, "x" }, fake.calls.timer_at)
    assert.same("callback must be a function", (failure(kong.timer.at, kong.timer, 1)))
  end)
end)
