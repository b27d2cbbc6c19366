-- file-log in a gateway: the lines, a rotated file, a disk that is full.

require("e2e.support.expect")
local client = require("e2e.support.client")
local cjson = require("cjson")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local stdlib = require("posix.stdlib")

local function lines_of(path)
  local out = {}
  local handle = io.open(path)
  if handle then
    for line in handle:lines() do
      out[#out + 1] = line
    end
    handle:close()
  end
  return out
end

local function wait_lines(path, n)
  return sched.wait_until(function()
    local lines = lines_of(path)
    return #lines >= n and lines
  end, nil, function()
    return ("%s has %d of %d lines"):format(path, #lines_of(path), n)
  end)
end

describe("file-log", function()
  local gw, up, dir

  local function start(config)
    gw, up = site.start({ route = "plugins:\n- name: file-log\n  config: " .. config })
  end

  before_each(function()
    dir = assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-file-log-XXXXXX"))
  end)

  after_each(function()
    site.stop(gw, up)
    gw, up = nil, nil
    os.execute("rm -rf " .. dir)
  end)

  it("writes one JSON line for each request, whatever the client puts in it", function()
    local path = dir .. "/a.log"
    start("{path: " .. path .. "}")
    client.get(gw, "/a?b=1", { ["X-Evil"] = "\"},{\"x\":\"\\\226\128\168\155", Authorization = "Bearer secret" })
    client.get(gw, "/b")
    local lines = wait_lines(path, 2)
    assert.same(2, #lines)
    local entry = cjson.decode(lines[1])
    assert.same({ "GET", "/a?b=1", "1", 200, "app", "app", "upstream" }, { entry.request.method, entry.request.uri,
      entry.request.querystring.b, entry.response.status, entry.route.name, entry.service.name, entry.source })
    assert.same(1, #entry.tries)
    assert.is_nil(lines[1]:find("[%c]"))
    assert.matches('"x-evil":"\\"},{\\"x\\":\\"\\\\\\u2028\239\191\189"', lines[1], 1, true)
    assert.is_nil(lines[1]:find("secret", 1, true))
  end)

  it("sets custom fields, also those the record has by itself", function()
    local path = dir .. "/a.log"
    start(("{path: %s, custom_fields_by_lua: {who: %q, 'request.size': 'return 7', route: 'return nil'}}"):format(path,
      "return kong.request.get_header('X-Who')"))
    client.get(gw, "/", { ["X-Who"] = "me" })
    local line = wait_lines(path, 1)[1]
    local entry = cjson.decode(line)
    assert.same({ "me", 7 }, { entry.who, entry.request.size })
    assert.is_nil(entry.route)
    assert.matches('"tries":[', line, 1, true)
  end)

  it("leaves a failing field out", function()
    local path = dir .. "/a.log"
    start(("{path: %s, custom_fields_by_lua: {bad: 'return nothing.here', good: 'return 1'}}"):format(path))
    gw:expect_error("custom field 'bad' was left out: ")
    client.get(gw, "/")
    local entry = cjson.decode(wait_lines(path, 1)[1])
    assert.same({ 1 }, { entry.good, entry.bad })
  end)

  it("follows a rotated file when told so", function()
    local path = dir .. "/a.log"
    start("{path: " .. path .. ", reopen: true}")
    client.get(gw, "/1")
    wait_lines(path, 1)
    assert(os.rename(path, path .. ".1"))
    client.get(gw, "/2")
    assert.matches('"uri":"/2"', wait_lines(path, 1)[1], 1, true)
    assert.same(1, #lines_of(path .. ".1"))
  end)

  it("stays with its file otherwise", function()
    local path = dir .. "/a.log"
    start("{path: " .. path .. "}")
    client.get(gw, "/1")
    wait_lines(path, 1)
    assert(os.rename(path, path .. ".1"))
    client.get(gw, "/2")
    wait_lines(path .. ".1", 2)
    assert.same({}, lines_of(path))
  end)

  it("drops and counts lines on a full disk; requests do not notice", function()
    start("{path: /dev/full}")
    gw:expect_error("log /dev/full cannot be written: No space left on device")
    for _ = 1, 20 do
      assert.status(200, client.get(gw, "/"))
    end
    sched.wait_until(function()
      return (gw:metrics()["moongate_access_log_dropped_total"] or 0) >= 20
    end)
  end)

  it("goes on when the file cannot be opened or nobody reads a pipe", function()
    os.execute("mkfifo " .. dir .. "/pipe")
    start("{path: " .. dir .. "/pipe}")
    gw:expect_error("/pipe cannot be opened: No such device or address")
    for _ = 1, 3 do
      assert.status(200, client.get(gw, "/"))
    end
    assert.same(3, gw:metrics()["moongate_access_log_dropped_total"])
    site.stop(gw, up)
    start("{path: " .. dir .. "/missing/a.log}")
    gw:expect_error("/missing/a.log cannot be opened: No such file or directory")
    assert.status(200, client.get(gw, "/"))
  end)
end)
