-- Configuration that arrives while serving: volumes as the kubelet writes them, plain directories, plugins' code, secrets
-- in files; what is refused, what stays in use, and what status and metrics say.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local process = require("e2e.support.process")
local sched = require("e2e.support.sched")
local stat = require("posix.sys.stat")
local stdlib = require("posix.stdlib")
local unistd = require("posix.unistd")
local upstream = require("e2e.support.upstream")
local volume = require("e2e.support.volume")

local put = volume.put

-- A route that answers with a text.
local ROUTE = [[
_format_version: "3.0"
services:
- name: %s
  url: http://127.0.0.1:9
  routes:
  - {name: %s, paths: ["/%s"]}
  plugins:
  - {name: request-termination, config: {status_code: 200, message: "%s"}}
]]

local function answering(name, text)
  return ROUTE:format(name, name, name, text)
end

local SCHEMA = [[
return { name = "%s", fields = { { config = { type = "record", fields = { { text = { type = "string" } } } } } } }
]]

-- A plugin that answers with its code's word and its configuration's text.
local HANDLER = [[
local M = { PRIORITY = 1, VERSION = "1.0.0" }
function M:access(conf)
  kong.response.exit(200, "%s " .. tostring(conf.text))
end
return M
]]

local function plugin(files, name, word)
  files["plugins/" .. name .. "/handler.lua"] = HANDLER:format(word)
  files["plugins/" .. name .. "/schema.lua"] = SCHEMA:format(name)
  return files
end

describe("configuration that arrives while serving", function()
  local root, gw

  before_each(function()
    root = assert(stdlib.mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/moongate-watch-XXXXXX"))
    stat.chmod(root, 493)
  end)

  after_each(function()
    local running = gw
    gw = nil
    local ok, why = true, nil
    if running then
      ok, why = pcall(running.stop, running)
    end
    volume.remove(root)
    assert(ok, why)
  end)

  local function start(opts)
    opts.settings = opts.settings or {}
    opts.settings.watch_interval = opts.settings.watch_interval or "60s"
    opts.settings.keepalive_requests = 1000000 -- the specs below ask on one connection
    gw = gateway.start(opts)
    gw:wait_log("serving")
    return gw
  end

  local function serve_volume(files, opts)
    local vol = volume.create(root .. "/vol")
    vol:write(files)
    opts = opts or {}
    opts.config_dir = vol.path
    start(opts)
    return vol
  end

  local function reloads(result)
    return gw:metrics()['moongate_config_reloads_total{result="' .. result .. '"}']
  end

  local function wait_reloads(result, n)
    sched.wait_until(function()
      return reloads(result) >= n
    end, 10 * sched.slow, function()
      return ("not %d reloads with result %s:\n%s"):format(n, result, gw:errors())
    end)
    assert.equal(n, reloads(result), gw:errors())
  end

  local function config()
    return client.get(gw:status(), "/status"):json().config
  end

  local function says(path)
    local response = client.get(gw, path)
    return response.status == 200 and (response.body:match('"message":%s*"([^"]*)"') or response.body) or response.status
  end

  local function wait_says(text, path)
    sched.wait_until(function()
      return says(path) == text
    end, 10 * sched.slow, function()
      return ("%s is %s, not %s:\n%s"):format(path, says(path), text, gw:errors())
    end)
  end

  it("takes a changed key of a volume, and nothing when nothing has changed", function()
    local vol = serve_volume({ ["a.yaml"] = answering("a", "one") })
    local before = config()
    assert.same({ 1, 1, "inotify", true }, { before.generation, before.files, before.watch, before.last_attempt.ok })
    vol:write({ ["a.yaml"] = answering("a", "two") })
    wait_says("two", "/a")
    wait_reloads("ok", 1)
    local after = config()
    assert.is_true(after.hash ~= before.hash and after.generation == 2 and after.loaded_at >= before.loaded_at)
    vol:write({ ["a.yaml"] = answering("a", "two") })
    wait_reloads("unchanged", 1)
    vol:write({ ["a.yaml"] = answering("a", "two") .. "# a remark\n" })
    wait_reloads("unchanged", 2)
    assert.equal(1, reloads("ok"))
    assert.equal(after.hash, config().hash)
  end)

  it("takes added, removed and renamed keys, in both orders of writing", function()
    local vol = serve_volume({ ["a.yaml"] = answering("a", "1") })
    local n = 0
    for _, links_first in ipairs({ false, true }) do
      local opts = { links_first = links_first, pause = 0.01 }
      for _, keys in ipairs({ { "a", "b" }, { "b" }, { "c" }, { "a" } }) do
        local files = {}
        for _, key in ipairs(keys) do
          files[key .. ".yaml"] = answering(key, tostring(n))
        end
        vol:write(files, opts)
        n = n + 1
        wait_says(tostring(n - 1), "/" .. keys[1])
        wait_reloads("ok", n)
      end
    end
    assert.equal(0, reloads("error"))
  end)

  local function pair(n)
    local files = {
      ["a.yaml"] = answering("x", tostring(n)):gsub("request%-termination.*", ("half, config: {text: \"%d\"}}\n"):format(n)),
      ["b.yaml"] = ('_format_version: "3.0"\nplugins:\n- {name: whole, config: {text: "%d"}}\n'):format(n),
      ["plugins/half/schema.lua"] = SCHEMA:format("half"),
      ["plugins/half/handler.lua"] = [[
        local M = { PRIORITY = 9, VERSION = "1.0.0" }
        function M:access(conf)
          kong.ctx.shared.half = conf.text
        end
        return M]],
      ["plugins/whole/schema.lua"] = SCHEMA:format("whole"),
      ["plugins/whole/handler.lua"] = [[
        local M = { PRIORITY = 1, VERSION = "1.0.0" }
        function M:access(conf)
          kong.response.exit(200, kong.ctx.shared.half .. " " .. conf.text .. " CODE")
        end
        return M]],
    }
    files["plugins/whole/handler.lua"] = files["plugins/whole/handler.lua"]:gsub("CODE", tostring(n))
    return files
  end

  -- Asks on and on; counts answers that mix configurations or are none.
  local function asking(counts)
    return sched.spawn(function()
      local c = client.connect(gw)
      while not counts.stop do
        local body = c:request({ path = "/x" }).body
        local a, b, code = body:match("^(%d+) (%d+) (%d+)$")
        counts.done = counts.done + 1
        if not a or a ~= b or b ~= code then
          counts.mixed[#counts.mixed + 1] = body
        end
      end
      c:close()
    end)
  end

  it("never mixes two states of a volume that is written slowly", function()
    local vol = serve_volume(pair(0), { workers = 2 })
    local counts = { done = 0, mixed = {} }
    local tasks = { asking(counts), asking(counts) }
    for n = 1, 4 do
      vol:write(pair(n), { pause = 0.05, links_first = n % 2 == 0 })
    end
    wait_says("4 4 4", "/x")
    counts.stop = true
    for _, task in ipairs(tasks) do
      task:join()
    end
    assert.same({}, counts.mixed)
    assert.is_true(counts.done > 100)
    assert.equal(0, reloads("error"))
  end)

  local function memory(pid)
    local file = assert(io.open("/proc/" .. pid .. "/statm"))
    local _, resident = file:read("*n", "*n")
    file:close()
    return resident * 4
  end

  it("lives through hundreds of swaps a second", function()
    local vol = serve_volume(pair(0))
    local counts = { done = 0, mixed = {} }
    local task = asking(counts)
    local files, stop = process.open_files(gw.process.pid), sched.now() + 3
    local n = 0
    while sched.now() < stop do
      n = n + 1
      vol:write(pair(n))
      sched.sleep(0.001)
    end
    wait_says(("%d %d %d"):format(n, n, n), "/x")
    counts.stop = true
    task:join()
    assert.same({}, counts.mixed)
    assert.equal(files, process.open_files(gw.process.pid))
    assert.equal(0, reloads("error"))
  end)

  local function refuses(vol, files, file, line, pattern)
    local failed = reloads("error")
    vol:write(files)
    wait_reloads("error", failed + 1)
    local attempt = config().last_attempt
    assert.is_false(attempt.ok)
    local first = attempt.errors[1]
    assert.is_truthy(first.message:find(pattern), first.message)
    assert.is_truthy(not file or first.file:find(file, 1, true), first.file)
    assert.equal(line, first.line)
    assert.equal(0, gw:metrics().moongate_config_last_reload_successful)
    assert.equal(200, client.get(gw:status(), "/status/ready").status)
    assert.equal("good", says("/a"))
  end

  it("keeps what works when the new is invalid, says why, and recovers", function()
    local good = { ["a.yaml"] = answering("a", "good") }
    local vol = serve_volume(good)
    gw:expect_error(".")
    local generation = config().generation
    refuses(vol, { ["a.yaml"] = "_format_version: \"3.0\"\nservices: [\n" }, "a.yaml", 3, "failed parsing")
    refuses(vol, { ["a.yaml"] = answering("a", "x"):gsub("request%-termination", "nonesuch") }, "a.yaml", 8, "nonesuch")
    refuses(vol, { ["a.yaml"] = answering("a", "x"), ["b.yaml"] = answering("a", "x") }, "b.yaml", 3, "a.yaml")
    local files = plugin({ ["a.yaml"] = answering("a", "x"):gsub("request%-termination, config: {.*", "mine}\n") }, "mine", "w")
    files["plugins/mine/handler.lua"] = "return {\n  PRIORITY = = 1\n}\n"
    refuses(vol, files, "mine/handler.lua", 2, "unexpected symbol")
    files["plugins/mine/handler.lua"] = "return { VERSION = '1.0.0' }\n"
    refuses(vol, files, nil, nil, "has no PRIORITY")
    vol:write(good)
    sched.wait_until(function()
      return config().last_attempt.ok
    end)
    assert.equal(generation, config().generation)
    assert.equal(0, reloads("ok"))
    assert.equal(1, gw:metrics().moongate_config_last_reload_successful)
    vol:write({ ["a.yaml"] = answering("a", "better") })
    wait_says("better", "/a")
  end)

  it("outlives a plugin whose code never ends", function()
    local vol = serve_volume({ ["a.yaml"] = answering("a", "good") }, { settings = { worker_hang = "500ms" } })
    gw:expect_error(".")
    local files = plugin({ ["a.yaml"] = answering("a", "x"):gsub("request%-termination, config: {.*", "mine}\n") }, "mine", "w")
    files["plugins/mine/handler.lua"] = "while true do end"
    vol:write(files)
    wait_reloads("error", 1)
    wait_says("good", "/a")
    assert.is_truthy(config().last_attempt.errors[1].message:find("died"))
    vol:write({ ["a.yaml"] = answering("a", "better") })
    wait_says("better", "/a")
  end)

  it("accepts two volumes of which one comes later", function()
    local plugins = volume.create(root .. "/code")
    plugins:write({ ["README"] = "nothing yet" })
    local vol = serve_volume({ ["a.yaml"] = answering("a", "good") }, { settings = { plugin_dirs = plugins.path } })
    gw:expect_error(".")
    vol:write({ ["a.yaml"] = answering("a", "x"):gsub("request%-termination, config: {.*", "mine}\n") })
    wait_reloads("error", 1)
    assert.equal("good", says("/a"))
    plugins:write(plugin({}, "mine", "late"))
    wait_says("late nil", "/a")
  end)

  it("sees every swap of a projected volume with directories in it", function()
    local vol = volume.create(root .. "/vol")
    local function write(n)
      vol:write(plugin({ ["conf.d/a.yaml"] = answering("a", "x"):gsub("request%-termination, config: {.*",
        ("mine, config: {text: \"%d\"}}\n"):format(n)) }, "mine", "v" .. n))
    end
    write(1)
    start({ config_dir = vol.path .. "/conf.d", settings = { plugin_dirs = vol.path } })
    assert.equal("v1 1", says("/a"))
    write(2)
    wait_says("v2 2", "/a")
    write(3)
    wait_says("v3 3", "/a")
    assert.equal(2, reloads("ok"))
  end)

  it("works without inotify", function()
    local program = root .. "/starved"
    put(program, "#!/bin/sh\nexec unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"' "
      .. assert(unistd.access(gateway.program, "x") and io.popen("readlink -f " .. gateway.program):read("*l")) .. ' "$@"\n')
    stat.chmod(program, 493)
    put(root .. "/conf/a.yaml", answering("a", "one"))
    start({ config_dir = root .. "/conf", program = program, settings = { watch_interval = "200ms" } })
    assert.equal(1, gw:metrics()['moongate_config_watch_mode{mode="poll"}'])
    put(root .. "/conf/a.yaml", answering("a", "two"))
    wait_says("two", "/a")
    put(root .. "/conf/b.yaml", answering("b", "new"))
    wait_says("new", "/b")
    assert.equal(2, reloads("ok"))
  end)

  it("leaves the files alone when it is told so", function()
    put(root .. "/conf/a.yaml", answering("a", "one"))
    start({ config_dir = root .. "/conf", settings = { watch = "off" } })
    assert.equal("off", config().watch)
    put(root .. "/conf/a.yaml", answering("a", "two"))
    assert.equal("one", says("/a"))
    gw:reload(nil, "configuration reloaded")
    assert.equal("two", says("/a"))
  end)

  it("looks at everything when events were lost", function()
    put(root .. "/conf/a.yaml", answering("a", "one"))
    start({ config_dir = root .. "/conf", settings = { watch = "inotify" } })
    gw:signal("STOP")
    local limit = tonumber(io.open("/proc/sys/fs/inotify/max_queued_events"):read("*n"))
    for i = 1, limit do
      local name = root .. "/conf/n" .. i % 2 .. ".tmp"
      io.open(name, "w"):close()
    end
    os.remove(root .. "/conf/n0.tmp")
    os.remove(root .. "/conf/n1.tmp")
    put(root .. "/conf/a.yaml", answering("a", "two"))
    gw:signal("CONT")
    wait_says("two", "/a")
  end)

  it("arms again when the directory goes and comes back", function()
    put(root .. "/conf/a.yaml", answering("a", "one"))
    start({ config_dir = root .. "/conf" })
    gw:expect_error(".")
    volume.remove(root .. "/conf")
    wait_reloads("error", 1)
    assert.equal("one", says("/a"))
    put(root .. "/conf/a.yaml", answering("a", "two"))
    wait_says("two", "/a")
    assert(os.rename(root .. "/conf", root .. "/old"))
    put(root .. "/new/a.yaml", answering("a", "three"))
    assert(os.rename(root .. "/new", root .. "/conf"))
    wait_says("three", "/a")
    put(root .. "/conf/a.yaml", answering("a", "four"))
    wait_says("four", "/a")
  end)

  it("reloads once for each way of saving a file", function()
    local path = root .. "/conf/a.yaml"
    put(path, answering("a", "0"))
    start({ config_dir = root .. "/conf" })
    local WAYS = {
      function(text)
        put(path, text)
      end,
      function(text) -- vim
        put(root .. "/conf/4913", "")
        os.remove(root .. "/conf/4913")
        os.rename(path, path .. "~")
        put(path, text)
        os.remove(path .. "~")
      end,
      function(text) -- sed -i
        put(root .. "/conf/sedXX1", text)
        os.rename(root .. "/conf/sedXX1", path)
      end,
      function(text) -- a program that writes in pieces
        local file = io.open(path, "w")
        for i = 1, #text, 40 do
          file:write(text:sub(i, i + 39))
          file:flush()
          sched.sleep(0.03)
        end
        file:close()
      end,
      function(text) -- git checkout
        os.remove(path)
        put(path, text)
      end,
    }
    for n, save in ipairs(WAYS) do
      save(answering("a", tostring(n)))
      wait_says(tostring(n), "/a")
      wait_reloads("ok", n)
    end
    assert.equal(0, reloads("error"))
  end)

  it("refuses a link that leads out of the directory, and names it", function()
    local vol = serve_volume({ ["a.yaml"] = answering("a", "good") })
    gw:expect_error(".")
    put(root .. "/conf/a.yaml", answering("a", "x"))
    unistd.link("/etc/shadow", vol.path .. "/shadow.yaml", true)
    vol:write({ ["a.yaml"] = answering("a", "fine") })
    wait_says("fine", "/a") -- beside the volume's own files nothing is read
    gw:stop()
    unistd.link("/etc/shadow", root .. "/conf/shadow.yaml", true)
    local result = gateway.command({ "check", root .. "/conf" })
    assert.equal(1, result.code)
    assert.is_truthy(result.output:find("shadow.yaml: cannot be read: .*leads out of its directory"), result.output)
    assert.is_nil(result.output:find("root:", 1, true))
    gw = nil
  end)

  it("keeps what works when all keys are removed", function()
    local vol = serve_volume({ ["a.yaml"] = answering("a", "good") })
    gw:expect_error(".")
    vol:write({})
    wait_reloads("error", 1)
    assert.equal("good", says("/a"))
  end)

  it("waits for files whose owner comes late", function()
    local vol = volume.create(root .. "/vol")
    vol:write({ ["a.yaml"] = answering("a", "one") })
    local program = root .. "/nobody"
    put(program, "#!/bin/sh\nexec setpriv --reuid 65534 --clear-groups "
      .. io.popen("readlink -f " .. gateway.program):read("*l") .. ' "$@"\n')
    stat.chmod(program, 493)
    start({ config_dir = vol.path, program = program, settings = { prefix = root, access_log = "off", error_log = "stderr",
      watch_interval = "300ms" } }, unistd.chown(root, 65534, 65534))
    vol:write({ ["a.yaml"] = answering("a", "two") }, { mode = 384, late = 0.1 })
    wait_says("two", "/a")
  end)

  it("says at start when a file cannot be replaced from outside", function()
    put(root .. "/conf/a.yaml", answering("a", "one"))
    put(root .. "/f.yaml", "")
    local program = root .. "/mounted"
    put(program, ("#!/bin/sh\nexec unshare -Urm sh -c 'mount --bind %s/conf/a.yaml %s/f.yaml && exec \"$0\" \"$@\"' %s \"$@\"\n")
      :format(root, root, io.popen("readlink -f " .. gateway.program):read("*l")))
    stat.chmod(program, 493)
    start({ config_dir = root .. "/f.yaml", program = program })
    gw:wait_log("f.yaml is a mount of its own: .*subPath")
    os.remove(root .. "/conf/a.yaml")
    put(root .. "/conf/a.yaml", answering("a", "two"))
    assert.equal("one", says("/a"))
  end)

  describe("with requests under way", function()
    local up

    local CONFIG = [[
_format_version: "3.0"
services:
- name: up
  url: http://127.0.0.1:%d
  routes:
%s]]

    before_each(function()
      up = upstream.start()
    end)

    after_each(function()
      up:stop()
    end)

    local function routes(first, ...)
      local lines = {}
      for i, name in ipairs(type(first) == "table" and first or { first, ... }) do
        lines[i] = ('  - {name: "%s", paths: ["/%s"]}\n'):format(name, name)
      end
      return CONFIG:format(up.port, table.concat(lines))
    end

    it("lets a stream finish whose route is deleted, on its own configuration", function()
      local go
      up.script = function(c)
        c:read_request()
        c:send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n")
        sched.wait_until(function()
          return go
        end, 30 * sched.slow)
        c:send("data: 2\n\n")
      end
      local vol = serve_volume({ ["a.yaml"] = routes("stream", "other") })
      local c = client.connect(gw)
      c:write({ path = "/stream" })
      local response = c:answer({ head_only = true })
      local first = response:next()
      for n = 1, 10 do
        vol:write({ ["a.yaml"] = n < 3 and routes("stream", "n" .. n) or routes("n" .. n) })
        wait_reloads("ok", n)
      end
      assert.is_true(gw:metrics().moongate_config_generations_alive >= 2)
      go = true
      assert.equal("data: 1\n\ndata: 2\n\n", first .. response:finish().body:sub(#first + 1))
      c:close()
      sched.wait_until(function()
        return gw:metrics().moongate_config_generations_alive == 1
      end)
      up.script = nil
      assert.equal(404, client.get(gw, "/stream").status)
    end)

    it("runs a request to its end with the code it began with", function()
      local go
      up.script = function(c)
        c:read_request()
        sched.wait_until(function()
          return go
        end, 30 * sched.slow)
        c:send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
      end
      local function files(word)
        return {
          ["a.yaml"] = routes("x") .. "plugins:\n- {name: mine}\n",
          ["plugins/mine/schema.lua"] = SCHEMA:format("mine"),
          ["plugins/mine/handler.lua"] = ([[
            local M = { PRIORITY = 1, VERSION = "1.0.0" }
            function M:init_worker()
              ngx.timer.every(3600, function(premature)
                kong.log.notice("timer of WORD, premature ", tostring(premature))
              end)
            end
            function M:access()
              kong.ctx.plugin.word = "WORD"
              ngx.sleep(0.001)
            end
            function M:header_filter()
              kong.response.set_header("X-Word", kong.ctx.plugin.word .. " WORD")
            end
            function M:log()
              kong.log.notice("logged by WORD")
            end
            return M]]):gsub("WORD", word),
        }
      end
      local vol = serve_volume(files("old"), { workers = 1 })
      local c = client.connect(gw)
      c:write({ path = "/x" })
      sched.wait_until(function()
        return #up.requests == 1
      end)
      vol:write(files("new"))
      wait_reloads("ok", 1)
      go = true
      local answer = c:answer()
      assert.equal("old old", answer:header("x-word"))
      gw:wait_log("logged by old")
      gw:wait_log("timer of old, premature true")
      gw:wait_log("state of earlier plugin code is closed")
      assert.equal("new new", c:request({ path = "/x" }):header("x-word"))
      c:close()
    end)

    it("fails no request, and grows in nothing, over a hundred reloads", function()
      put(root .. "/conf/a.yaml", routes("x"))
      start({ config_dir = root .. "/conf", workers = 2, settings = { watch = "off" } })
      local counts = { done = 0, failed = 0 }
      local task = sched.spawn(function()
        local c = client.connect(gw)
        while not counts.stop do
          local ok = c:request({ path = "/x" }).status == 200
          counts[ok and "done" or "failed"] = counts[ok and "done" or "failed"] + 1
        end
        c:close()
      end)
      local function reload(n)
        for _ = 1, n do
          local before = reloads("ok")
          gw:signal("HUP")
          sched.wait_until(function()
            return reloads("ok") > before
          end)
        end
      end
      local function sizes()
        local sum = { files = process.open_files(gw.process.pid), memory = 0 }
        for _, pid in ipairs(gw.process:children()) do
          sum.files, sum.memory = sum.files + process.open_files(pid), sum.memory + memory(pid)
        end
        return sum
      end
      reload(10)
      local before = sizes()
      reload(100)
      local after = sizes()
      counts.stop = true
      task:join()
      assert.equal(0, counts.failed)
      assert.is_true(counts.done > 200)
      assert.is_true(math.abs(after.files - before.files) <= 2, ("%d descriptors became %d"):format(before.files, after.files))
      assert.is_true(after.memory - before.memory < 4096, ("%d kB became %d kB"):format(before.memory, after.memory))
    end)

    it("takes ten thousand routes without failing a request", function()
      local function many(path)
        local names = {}
        for i = 1, 10000 do
          names[i] = path .. i
        end
        names[10001] = "x"
        return routes(names)
      end
      put(root .. "/conf/a.yaml", many("a"))
      start({ config_dir = root .. "/conf", settings = { worker_hang = "10s" } })
      local counts, slowest = { done = 0, failed = 0 }, 0
      local task = sched.spawn(function()
        local c = client.connect(gw)
        while not counts.stop do
          local began = sched.now()
          local ok = c:request({ path = "/x" }).status == 200
          slowest = math.max(slowest, sched.now() - began)
          counts[ok and "done" or "failed"] = counts[ok and "done" or "failed"] + 1
        end
        c:close()
      end)
      put(root .. "/conf/a.yaml", many("b"))
      wait_reloads("ok", 1)
      counts.stop = true
      task:join()
      assert.equal(0, counts.failed)
      assert.is_true(slowest < 0.5 * sched.slow, ("a request took %.0f ms"):format(1000 * slowest))
      assert.equal(200, client.get(gw, "/b10000").status)
    end)
  end)

  it("watches without a master too", function()
    local vol = serve_volume({ ["a.yaml"] = answering("a", "one") }, { args = { "--no-master" } })
    gw:expect_error(".")
    assert.equal("inotify", config().watch)
    vol:write({ ["a.yaml"] = answering("a", "two") })
    wait_says("two", "/a")
    assert.same({ 2, 1, 1 }, { config().generation, config().workers, config().workers_acked })
    vol:write({ ["a.yaml"] = "services: [" })
    wait_reloads("error", 1)
    assert.equal("two", says("/a"))
    vol:write({ ["a.yaml"] = answering("a", "two") })
    sched.wait_until(function()
      return config().last_attempt.ok
    end)
    assert.equal(2, config().generation)
  end)

  it("gives a respawned worker the code that works, whatever the files hold by then", function()
    put(root .. "/conf/a.yaml", answering("a", "x"):gsub("request%-termination, config: {.*", "mine}\n"))
    put(root .. "/conf/plugins/mine/schema.lua", SCHEMA:format("mine"))
    put(root .. "/conf/plugins/mine/handler.lua", HANDLER:format("good"))
    start({ config_dir = root .. "/conf" })
    gw:expect_error(".")
    put(root .. "/conf/plugins/mine/handler.lua", "this is no Lua")
    wait_reloads("error", 1)
    require("posix.signal").kill(gw.process:children()[1], 9)
    gw:wait_log("was killed by signal 9")
    wait_says("good nil", "/a")
  end)

  it("starts with the last good configuration when it may", function()
    put(root .. "/conf/a.yaml", answering("a", "good"))
    local settings = { last_good = "on", prefix = root .. "/prefix" }
    stat.mkdir(root .. "/prefix")
    start({ config_dir = root .. "/conf", settings = settings })
    put(root .. "/conf/a.yaml", answering("a", "better"))
    wait_says("better", "/a")
    gw:stop()
    assert.equal(33152, stat.stat(root .. "/prefix/last-good.json").st_mode)
    put(root .. "/conf/a.yaml", "services: [")
    start({ config_dir = root .. "/conf", settings = settings })
    gw:expect_error(".")
    assert.equal("better", says("/a"))
    assert.same({ true, false }, { config().last_good, config().last_attempt.ok })
    put(root .. "/conf/a.yaml", answering("a", "best"))
    wait_says("best", "/a")
    assert.same({ false, true }, { config().last_good, config().last_attempt.ok })
  end)

  it("takes a secret's new value from its file", function()
    local secrets = volume.create(root .. "/secrets")
    secrets:write({ ["token"] = "first\n", ["all"] = cjson.encode({ key = "inner-1" }) })
    local function key(value)
      return client.request({ to = gw, path = "/x", headers = { apikey = value } }).status
    end
    put(root .. "/conf/a.yaml", ([[
_format_version: "3.0"
vaults:
- {prefix: mounted, name: file, config: {prefix: %s}}
services:
- {name: x, url: "http://127.0.0.1:9", routes: [{name: x, paths: [/x]}], plugins: [{name: key-auth}, {name: request-termination, config: {status_code: 200}}]}
consumers:
- {username: a, keyauth_credentials: [{key: "{vault://file/token}"}]}
- {username: b, keyauth_credentials: [{key: "{vault://mounted/all/key}"}]}
]]):format(secrets.path))
    start({ config_dir = root .. "/conf" })
    gw:expect_error(".")
    assert.same({ 200, 200, 401 }, { key("first"), key("inner-1"), key("second") })
    secrets:write({ ["token"] = "second\n", ["all"] = cjson.encode({ key = "inner-1" }) })
    sched.wait_until(function()
      return key("second") == 200
    end)
    assert.equal(401, key("first"))
    secrets:write({ ["all"] = "{}" })
    wait_reloads("error", 1)
    local text = cjson.encode(config())
    assert.is_truthy(text:find("token' cannot be read", 1, true), text)
    assert.is_nil(text:find("second", 1, true))
    assert.equal(200, key("second"))
    secrets:write({ ["token"] = "third", ["all"] = cjson.encode({ key = "inner-1" }) })
    sched.wait_until(function()
      return key("third") == 200
    end)
  end)
end)
