-- Plugins that mark, limit and redirect requests, in a gateway.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local MORE = [[
plugins:
- name: correlation-id
  config: {echo_downstream: true, header_name: X-Correlation}
routes:
- name: small
  paths: ["/small"]
  service: {name: app}
  plugins:
  - name: request-size-limiting
    config: {allowed_payload_size: 10, size_unit: bytes}
- name: large
  paths: ["/large"]
  service: {name: app}
  plugins:
  - name: request-size-limiting
    config: {allowed_payload_size: 2, size_unit: kilobytes, require_content_length: true}
- name: refused
  paths: ["/refused"]
  service: {name: app}
  plugins:
  - name: key-auth
- name: tracked
  paths: ["/tracked"]
  service: {name: app}
  plugins:
  - name: correlation-id
    config: {generator: tracker}
]]

local function post(gw, path, body, headers)
  return client.request({ to = gw, method = "POST", path = path, body = body, headers = headers })
end

local function chunked(gw, path, body)
  return client.request({ to = gw, path = path, chunks = { body:sub(1, 3), body:sub(4) } })
end

describe("in the gateway", function()
  local gw, up

  setup(function()
    gw, up = site.start({ more = MORE, settings = { body_buffer_max_bytes = "1k" } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("correlation-id marks request, response and log with one id", function()
    local response = client.get(gw, "/a")
    local id = response:header("x-correlation")
    assert.matches("^%x+%-%x+%-4%x+%-%x+%-%x+#%d+$", id)
    assert.same(id, response:json().headers["x-correlation"])
    local entry = gw:wait_access(function(e) return e.request.uri == "/a" end)
    assert.same(id, entry.correlation_id)
    assert.header("mine", client.get(gw, "/b", { ["X-Correlation"] = "mine" }), "x-correlation")
  end)

  it("correlation-id counts the requests of a connection", function()
    local c, seen = client.connect(gw), {}
    for i = 1, 2 do
      local id = c:request({ path = "/tracked" }):json().headers["kong-request-id"]
      seen[i] = id:match("^127%.0%.0%.1%-" .. gw.port .. "%-%d+%-%d+%-(%d+)%-%d+%.%d%d%d$")
    end
    c:close()
    assert.same(1, seen[2] - seen[1])
  end)

  it("correlation-id marks refusals", function()
    local response = client.get(gw, "/refused")
    assert.status(401, response)
    assert.is_string(response:header("x-correlation"))
  end)

  it("request-size-limiting lets bodies of the limit pass and refuses larger ones", function()
    assert.same("0123456789", post(gw, "/small", "0123456789"):json().body)
    local before = #up.requests
    local response = post(gw, "/small", "0123456789a")
    assert.gateway_error(413, response)
    assert.same("Request size limit exceeded", response:json().message)
    assert.gateway_error(417, post(gw, "/small", "0123456789a", { Expect = "100-continue" }))
    assert.same(before, #up.requests)
  end)

  it("request-size-limiting knows chunked bodies", function()
    assert.same("0123456789", chunked(gw, "/small", "0123456789"):json().body)
    assert.gateway_error(413, chunked(gw, "/small", "0123456789a"))
    assert.same(2048, #chunked(gw, "/large", ("x"):rep(2048)):json().body)
    assert.gateway_error(413, chunked(gw, "/large", ("x"):rep(2049)))
  end)

  it("request-size-limiting wants a length", function()
    local response = client.get(gw, "/large")
    assert.gateway_error(411, response)
    assert.same("A valid Content-Length header is required", response:json().message)
    assert.status(200, post(gw, "/large", "x"))
  end)
end)
