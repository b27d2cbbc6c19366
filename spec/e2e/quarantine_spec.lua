-- Plugins that end workers: code in C that nothing can stop, killed by the master, blamed, and switched off when it goes on.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")

-- Hangs in a match that never comes to its end, when it is told to.
local HANDLER = [[
local hangs = { PRIORITY = 10, VERSION = "1.0.0" }
local function hang() return (("a"):rep(4000)):find(("a-"):rep(20) .. "b") end
function hangs:access()
  if kong.request.get_query_arg("hang") == "access" then
    hang()
  end
  kong.service.request.set_header("X-Hangs", "ran")
end
function hangs:header_filter()
  kong.response.set_header("X-Hangs", "ran")
end
function hangs:log()
  if kong.request.get_query_arg("hang") == "timer" then
    ngx.timer.at(0, hang)
  end
end
return hangs
]]

local SNIPPET = [[if kong.request.get_query_arg("hang") then return (("a"):rep(4000)):find(("a-"):rep(20) .. "b") end
  kong.response.exit(200, "snippet ran")]]

local function config()
  local function snippet(name)
    return { name = name, paths = { "/" .. name }, plugins = { { name = "pre-function", instance_name = name,
      config = { access = { SNIPPET } } } } }
  end
  return {
    ["kong.json"] = cjson.encode({ _format_version = "3.0", routes = {
      { name = "guest", paths = { "/guest" }, plugins = { { name = "hangs" }, { name = "request-termination",
        config = { status_code = 200, message = "through" } } } },
      { name = "plain", paths = { "/plain" }, plugins = { { name = "request-termination", config = { status_code = 200 } } } },
      snippet("one"), snippet("two"),
    } }),
    ["plugins/hangs/handler.lua"] = HANDLER,
    ["plugins/hangs/schema.lua"] = [[return { name = "hangs", fields = { { config = { type = "record", fields = {} } } } }]],
  }
end

describe("a plugin that hangs in C", function()
  local gw

  local function start(settings)
    settings.worker_hang, settings.plugin_kills = "500ms", settings.plugin_kills or "2"
    gw = gateway.start({ config = config(), settings = settings })
    gw:expect_error("has not moved for")
    gw:expect_error("was killed by signal 6")
    gw:expect_error("ended in plugin")
    gw:expect_error("is switched off until")
  end

  -- Asks for the hang, and waits for the worker that follows.
  local function kill(path, times)
    local began = sched.now()
    pcall(client.get, gw, path)
    assert.truthy(sched.now() - began < 2.5 * sched.slow)
    sched.wait_until(function()
      local _, n = gw:errors():gsub("ended in plugin", "")
      return n == times
    end)
    sched.wait_until(function()
      local ok, response = pcall(client.get, gw, "/plain")
      return ok and response.status == 200
    end)
  end

  after_each(function()
    gw:stop()
  end)

  it("is switched off after some kills: its requests get 503, others pass", function()
    start({})
    kill("/guest?hang=access", 1)
    gw:wait_log('ended in plugin "hangs": 1 within 60 s')
    assert.same("ran", client.get(gw, "/guest"):header("x-hangs"))
    assert.same({}, client.get(gw:status(), "/status"):json().plugins.switched_off)
    kill("/guest?hang=access", 2)
    gw:wait_log('plugin "hangs" is switched off until the configuration is loaded again')
    assert.gateway_error(503, client.get(gw, "/guest"))
    assert.status(200, client.get(gw, "/plain"))
    assert.same({ { name = "hangs", kills = 2 } }, client.get(gw:status(), "/status"):json().plugins.switched_off)
    local metrics = gw:metrics()
    assert.same(2, metrics['moongate_plugin_kills_total{plugin="hangs"}'])
    assert.same(1, metrics['moongate_plugin_switched_off{plugin="hangs"}'])
  end)

  it("is left out where requests may pass without it, until a reload", function()
    start({ plugin_fail_open = "other, hangs", plugin_kills = "1" })
    kill("/guest?hang=access", 1)
    local response = client.get(gw, "/guest?hang=access")
    assert.same({ 200, "through" }, { response.status, response:json().message })
    assert.is_nil(response:header("x-hangs"))
    gw:reload(nil, "configuration reloaded")
    gw:wait_log("1 plugins that were switched off are on again")
    assert.same("ran", client.get(gw, "/guest"):header("x-hangs"))
  end)

  it("is blamed for its timers", function()
    start({ plugin_kills = "1" })
    kill("/guest?hang=timer", 1)
    assert.gateway_error(503, client.get(gw, "/guest"))
  end)

  it("is one instance, when it is a snippet", function()
    start({ plugin_kills = "1" })
    kill("/one?hang=1", 1)
    gw:wait_log('plugin "pre%-function %(one%)" is switched off')
    assert.gateway_error(503, client.get(gw, "/one"))
    assert.same("snippet ran", client.get(gw, "/two").body)
  end)

  it("is never switched off without a limit", function()
    start({ plugin_kills = "0" })
    kill("/guest?hang=access", 1)
    kill("/guest?hang=access", 2)
    assert.status(200, client.get(gw, "/guest"))
  end)
end)
