-- pre-function, post-function and redirect in a gateway.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local MORE = [[
plugins:
- name: pre-function
  config:
    rewrite: ["kong.ctx.shared.rewritten = kong.request.get_path()"]
    header_filter: ["kong.response.set_header('X-Global', 'seen')"]
routes:
- name: phases
  paths: ["/phases"]
  service: {name: app}
  plugins:
  - name: post-function
    config:
      access: ["kong.service.request.set_header('X-Rewritten', kong.ctx.shared.rewritten)"]
      header_filter: ["kong.response.clear_header('Content-Length') ngx.header['X-Post'] = ngx.status"]
      body_filter: ["ngx.arg[1] = ngx.arg[1]:upper()"]
      log: ["kong.log.notice('logged ', kong.response.get_status())"]
- name: answers
  paths: ["/answers"]
  service: {name: app}
  plugins:
  - name: post-function
    config: {access: ["return kong.response.exit(418, {tea = true})"]}
- name: waits
  paths: ["/waits"]
  service: {name: app}
  plugins:
  - name: post-function
    config: {access: ["ngx.sleep(0.01) return ngx.exit(204)"]}
- name: fails
  paths: ["/fails"]
  service: {name: app}
  plugins:
  - name: post-function
    config: {access: ["return io.open('/etc/passwd')"]}
- name: moved
  paths: ["/moved"]
  service: {name: app}
  plugins:
  - name: redirect
    config: {location: "https://new.test/", status_code: 308, keep_incoming_path: true}
]]

describe("functions", function()
  local gw, up

  setup(function()
    gw, up = site.start({ more = MORE })
    gw:expect_error("post%-function:access%[1%]:1: attempt to index global 'io'")
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("run in every phase", function()
    up:answer({ headers = { ["Content-Type"] = "text/plain" }, body = "body" })
    local response = client.get(gw, "/phases")
    assert.same({ 200, "BODY", "200", "seen" }, { response.status, response.body, response:header("x-post"),
      response:header("x-global") })
    assert.same("/phases", up:last():header("x-rewritten"))
    gw:wait_log("logged 200")
    up:answer(nil)
  end)

  it("answer, and wait", function()
    local response = client.get(gw, "/answers")
    assert.same({ 418, '{"tea":true}', "seen" }, { response.status, response.body, response:header("x-global") })
    assert.status(204, client.get(gw, "/waits"))
  end)

  it("are kept from the machine", function()
    assert.gateway_error(500, client.get(gw, "/fails"))
  end)

  it("redirect keeps what was asked for", function()
    local response = client.get(gw, "/moved/x?y=1")
    assert.same({ 308, "redirecting", "https://new.test/moved/x?y=1" }, { response.status, response.body,
      response:header("location") })
  end)
end)
