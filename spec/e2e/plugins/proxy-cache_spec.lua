-- proxy-cache in a gateway: what is served from memory, and what never is.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local PLUGIN = [[
plugins:
- name: proxy-cache
  config: {strategy: memory, content_type: ["text/plain"]}
]]

describe("proxy-cache", function()
  local gw, up, count

  setup(function()
    gw, up = site.start({ route = PLUGIN, workers = 2 })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  before_each(function()
    count = 0
    up:answer(function(request)
      count = count + 1
      return { headers = { ["Content-Type"] = "text/plain", ["X-Count"] = tostring(count) }, body = request.target }
    end)
  end)

  local function get(path, headers)
    local response = client.get(gw, path, headers)
    return response, response:header("x-cache-status")
  end

  it("asks the upstream once, for all workers", function()
    local first, status = get("/once?a=1")
    assert.same({ "Miss", "/once?a=1" }, { status, first.body })
    for _ = 1, 6 do
      local again, hit = get("/once?a=1")
      assert.same({ "Hit", "/once?a=1", "1", first:header("x-cache-key") },
        { hit, again.body, again:header("x-count"), again:header("x-cache-key") })
      assert.matches("^%d+$", again:header("age"))
      assert.same("9", again:header("content-length"))
    end
    assert.same(1, count)
    assert.same("Miss", select(2, get("/once?a=2")))
  end)

  it("keeps HEAD apart", function()
    get("/head")
    local response = client.request({ to = gw, method = "HEAD", path = "/head" })
    assert.header("Miss", response, "x-cache-status")
  end)

  it("bypasses what is not to be kept", function()
    local response = client.request({ to = gw, method = "POST", path = "/post", body = "x" })
    assert.header("Bypass", response, "x-cache-status")
    up:answer({ headers = { ["Content-Type"] = "text/html" }, body = "x" })
    for _ = 1, 2 do
      assert.same("Bypass", select(2, get("/html")))
    end
  end)

  it("keeps no response that broke off", function()
    up:send_raw("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "close")
    local c = client.connect(gw)
    c:write({ path = "/half" })
    pcall(c.answer, c) -- it says that the body broke off
    c:close()
    gw:wait_access(function(e) return e.request.uri == "/half" end)
    up:answer({ headers = { ["Content-Type"] = "text/plain" }, body = "whole" })
    local response, status = get("/half")
    assert.same({ "Miss", "whole" }, { status, response.body })
  end)

  it("keeps no stream that was cut", function()
    local cut, upstream = site.start({ route = PLUGIN:gsub("text/plain", "text/event-stream"),
      settings = { max_stream_age = "100ms" } })
    upstream:send_raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n", "open")
    assert.matches("max_stream_age", client.get(cut, "/").body)
    upstream:answer({ headers = { ["Content-Type"] = "text/event-stream" }, body = "data: 2\n\n" })
    local response = client.get(cut, "/")
    assert.same({ "Miss", "data: 2\n\n" }, { response:header("x-cache-status"), response.body })
    site.stop(cut, upstream)
  end)
end)
