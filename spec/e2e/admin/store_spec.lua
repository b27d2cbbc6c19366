-- The store of the Admin API in trouble: values that cannot be kept, a directory that cannot be written, writes beside bad ones.

require("e2e.support.expect")
local admin = require("e2e.admin.support")
local cjson = require("cjson")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local stat = require("posix.sys.stat")
local unistd = require("posix.unistd")

describe("the store of the Admin API", function()
  local gw, api, store

  setup(function()
    store = admin.directory()
    gw, api = admin.start({ config = false, store = store, workers = 2 })
  end)

  teardown(function()
    gw:stop()
    os.execute("rm -rf " .. store)
  end)

  local function post_text(path, text, content_type)
    return api:ask("POST", path, { body = text, headers = { ["Content-Type"] = content_type or "application/json" } })
  end

  it("refuses numbers that it could not write", function()
    for _, number in ipairs({ "1e400", "-1e400", "NaN", "Infinity" }) do
      local status, body = post_text("/services", '{"name":"k","host":"x","created_at":' .. number .. "}")
      assert.equal(400, status)
      assert.matches("Cannot parse JSON body", body.message, 1, true)
    end
    assert.equal(400, (post_text("/plugins", '{"name":"rate-limiting","config":{"minute":1e400}}')))
    for _, number in ipairs({ "1e400", "nan", "inf" }) do
      assert.equal(400, (post_text("/plugins", "name=rate-limiting&config.minute=" .. number, "application/x-www-form-urlencoded")))
    end
    assert.equal(400, (post_text("/services", "name=k&host=x&tags[nan]=c", "application/x-www-form-urlencoded")))
    assert.equal(201, (api:post("/services?wait=1", { name = "after", host = "h" })))
  end)

  it("says that it cannot be written, and works again when it can", function()
    gw:expect_error("cannot be written")
    local obstacle = store .. "/moongate.json.new" -- also root cannot write a file there
    stat.mkdir(obstacle)
    local status, body = api:post("/services?wait=1", { name = "lost", host = "h" })
    assert.equal(500, status)
    assert.matches("moongate.json cannot be written: ", body.message, 1, true)
    assert.equal(404, (api:get("/services/lost")))
    assert.equal(500, (api:post("/services", { name = "lost", host = "h" }))) -- nobody is told that it was kept
    assert.equal(500, (api:post("/config", { _format_version = "3.0" })))
    assert.equal(200, (api:get("/services/after")))
    unistd.rmdir(obstacle)
    assert.equal(201, (api:post("/services", { name = "kept", host = "h" })))
    assert.equal(200, (api:get("/services/kept")))
    assert.equal(204, (api:delete("/services/kept")))
  end)

  it("tells each write what became of it when another one is refused", function()
    gw:expect_error("no%-such%-secret")
    gw:expect_error("reload refused")
    gw:expect_error("is refused, what was written since")
    api:post("/consumers?wait=1", { username = "frank" })
    for i = 1, 8 do
      local bad = client.connect(api.to)
      bad:write({ method = "POST", path = "/consumers/frank/key-auth?wait=1",
        body = cjson.encode({ key = "{vault://env/no-such-secret}" }),
        headers = { Host = "localhost", ["Content-Type"] = "application/json" } })
      sched.sleep(0.01 * i) -- somewhere in the course of it
      local name = "beside" .. i
      local status = api:post("/services?wait=1", { name = name, host = "h" })
      local found = api:get("/services/" .. name)
      assert.equal(status == 201 and 200 or 404, found, "answered " .. status)
      bad:close()
    end
  end)

  it("looks at what is there when the body has come, not before", function()
    local function begin(method, path, text)
      local c = client.connect(api.to)
      c:send(("%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"):format(method,
        path, #text))
      return function()
        c:send(text)
        local response = c:read_response({ method = method })
        c:close()
        return response.status
      end
    end
    local first, second = begin("PUT", "/services/once", '{"host":"a"}'), begin("PUT", "/services/once", '{"host":"b"}')
    assert.same({ 200, 200 }, { first(), second() })
    local _, services = api:get("/services")
    local hosts = {}
    for _, service in ipairs(services.data) do
      hosts[#hosts + 1] = service.name == "once" and service.host or nil
      assert.is_string(service.name)
    end
    assert.same({ "b" }, hosts)
    local patch = begin("PATCH", "/services/once", '{"host":"c"}')
    sched.sleep(0.05)
    assert.equal(204, (api:delete("/services/once")))
    assert.equal(404, patch())
    api:post("/consumers", { username = "short" })
    api:post("/consumer_groups", { name = "long" })
    local join = begin("POST", "/consumers/short/consumer_groups", '{"group":"long"}')
    sched.sleep(0.05)
    assert.equal(204, (api:delete("/consumers/short")))
    assert.equal(404, join())
    assert.equal(200, (api:get("/consumer_groups/long")))
  end)

  it("waits for memberships too", function()
    api:post("/consumer_groups?wait=1", { name = "gold" })
    api:post("/consumers?wait=1", { username = "gina" })
    assert.equal(201, (api:post("/consumers/gina/consumer_groups?wait=1", { group = "gold" })))
    local file = assert(io.open(store .. "/moongate.json"))
    local text = file:read("*a")
    file:close()
    assert.matches("consumer_group_consumers", text, 1, true)
  end)
end)

describe("a gateway that starts with its last good configuration", function()
  local gw, store, prefix

  teardown(function()
    gw:stop()
    os.execute("rm -rf " .. store .. " " .. prefix)
  end)

  it("has an Admin API that shows it, and can mend the store", function()
    store, prefix = admin.directory(), admin.directory()
    local api
    local function start()
      gw, api = admin.start({ config = false, store = store, settings = { last_good = "on", prefix = prefix } })
    end
    start()
    assert.equal(201, (api:post("/services?wait=1", { name = "good", host = "h" })))
    gw:stop()
    local file = assert(io.open(store .. "/moongate.json", "w"))
    file:write('{"_format_version":"3.0","services":[{"name":"bad"}]}')
    file:close()
    start()
    gw:expect_error(".")
    assert.equal(200, (api:get("/services/good")))
    sched.wait_until(function() -- the master says so once the workers serve
      return select(2, api:get("/status")).config.last_good
    end)
    assert.equal(201, (api:post("/services?wait=1", { name = "more", host = "h" })))
    assert.is_false(select(2, api:get("/status")).config.last_good)
    gw:stop()
    start()
    assert.equal(200, (api:get("/services/more")))
  end)
end)
