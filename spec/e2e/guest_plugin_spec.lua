-- A plugin written for Kong, unmodified: its modules, its cache, its queue, all of its phases together.

require("e2e.support.expect")
local client = require("e2e.support.client")
local site = require("e2e.support.site")

local ROOT = os.getenv("MOONGATE_ROOT") or assert(io.popen("pwd")):read("*l")

describe("a plugin written for Kong", function()
  local gw, up

  setup(function()
    gw, up = site.start({ more = "plugins:\n- name: guest\n", settings = { plugin_dirs = ROOT .. "/spec/e2e" } })
  end)

  teardown(function()
    site.stop(gw, up)
  end)

  it("runs in all its phases", function()
    local response = client.get(gw, "/path")
    assert.status(200, response)
    assert.same('{"list":[],"path":"/path"}', response.headers["x-json"])
    assert.same("1, 2", response.headers["x-two"])
    assert.truthy(response.body:find('"X-CONSUMER-ID":"', 1, true))
    assert.is_nil(response.headers["content-length"])
    assert.truthy(gw:wait_log("%[guest%] started true"))
    assert.truthy(gw:wait_log("delivered /path$"))
  end)

  it("makes a cached value once for all who ask meanwhile", function()
    local conns, numbers = {}, {}
    for i = 1, 5 do
      conns[i] = client.connect(gw)
      conns[i]:write({ path = "/", headers = { ["X-Key"] = "shared" } })
    end
    for i = 1, 5 do
      numbers[conns[i]:answer().headers["x-number"]] = true
      conns[i]:close()
    end
    local first = next(numbers)
    assert.same({ [first] = true }, numbers)
    assert.same(1, select(2, gw:errors():gsub("making shared", "")))
  end)

  it("makes it again when its maker's client has left", function()
    local leaver = client.connect(gw)
    leaver:write({ path = "/", headers = { ["X-Key"] = "left" } })
    gw:wait_log("making left")
    leaver:close()
    assert.status(200, client.request({ to = gw, path = "/", headers = { ["X-Key"] = "left" } }))
    assert.same(2, select(2, gw:errors():gsub("making left", "")))
  end)
end)
