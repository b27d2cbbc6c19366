-- What the gateway calls of a plugin and when: configure at every load, the order that entities wish for,
-- phases that never run; and what a plugin changes in the record.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local ROOT = os.getenv("MOONGATE_ROOT") or assert(io.popen("pwd")):read("*l")

local TWO_ROUTES = [[
routes:
- name: wished
  service: app
  paths: ["/wished"]
  plugins:
  - name: pre-function
    config:
      access: ["kong.response.exit(200, kong.ctx.shared.order or 'nothing')"]
    ordering:
      after:
        access: ["lifecycle"]
- name: usual
  service: app
  paths: ["/usual"]
  plugins:
  - name: pre-function
    config:
      access: ["kong.response.exit(200, kong.ctx.shared.order or 'nothing')"]
plugins:
- name: lifecycle
  config: {mark: all}
]]

describe("the plugin interface", function()
  local gw, up

  setup(function()
    gw, up = site.start({ more = TWO_ROUTES, settings = { plugin_dirs = ROOT .. "/spec/e2e" } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("runs plugins by priority, unless an entity wishes otherwise", function()
    assert.same("nothing", client.get(gw, "/usual").body)
    assert.same("all ", client.get(gw, "/wished").body)
  end)

  it("gives sets that answer whether they have a member", function()
    assert.same("true2", client.get(gw, "/any").headers["x-set"])
    assert.same("default true", client.get(gw, "/any").headers["x-hidden"])
    assert.same("false2", client.request({ to = gw, method = "DELETE", path = "/any" }).headers["x-set"])
  end)

  it("merges what a plugin sets inside the record's own members", function()
    assert.status(200, client.request({ to = gw, path = "/record", headers = { ["X-A"] = "1" } }))
    local entry = gw:wait_access(function(found)
      return found.request.uri == "/record" and found
    end)
    assert.same("all", entry.request.headers.mark)
    assert.same("1", entry.request.headers["x-a"])
    assert.same("127.0.0.1", entry.client_ip)
  end)

  it("says that a phase never runs here", function()
    gw:expect_error("its ws_client_frame never runs: WebSocket phases are Kong Enterprise's")
    gw:wait_log("plugin 'lifecycle': its ws_client_frame never runs")
  end)

  describe("asks a plugin for the target of each further attempt", function()
    setup(function()
      gw:reload(site.config(up.url, { more = TWO_ROUTES .. "- name: retrier\n  config: {port: " .. up.port .. "}\n" }))
      gw:expect_error("127.0.0.1:1: connection refused")
      gw:expect_error("nobody is left")
      gw:expect_error("bang")
    end)

    local function ask(how)
      return client.request({ to = gw, path = "/retry-" .. how, headers = { ["X-Retry"] = how } })
    end

    it("and goes there", function()
      assert.status(200, ask("good"))
      local entry = gw:wait_access(function(found)
        return found.request.uri == "/retry-good" and found
      end)
      assert.same({ 1, 1, up.port }, { entry.tries[1].port, entry.tries[2].port, entry.tries[3].port })
    end)

    it("and gives up when it names none, or fails", function()
      assert.status(502, ask("none"))
      gw:wait_log("nobody is left")
      assert.status(502, ask("raise"))
      gw:wait_log('plugin "retrier", balancer phase: .*retrier/handler.lua:%d+: bang')
      assert.status(200, client.get(gw, "/after"))
    end)
  end)

  it("configures plugins at every load, with nothing when they are used no more", function()
    gw:wait_log("%[lifecycle%] began")
    gw:wait_log("%[lifecycle%] configured with all")
    gw:reload(site.config(up.url, { more = TWO_ROUTES .. [[
- name: lifecycle
  route: usual
  config: {mark: one}
]] }))
    gw:wait_log("%[lifecycle%] configured with all,one")
    gw:reload(site.config(up.url))
    gw:wait_log("%[lifecycle%] configured with nothing")
    assert.same(1, select(2, gw:errors():gsub("%[lifecycle%] began", "")))
  end)
end)
