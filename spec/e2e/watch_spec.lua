-- Configuration that arrives while serving: volumes as the kubelet writes them, plain directories and editors; what is
-- refused, what stays in use, and what status and metrics say. Requests that are under way meanwhile: reload_spec.lua.

require("e2e.support.expect")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local process = require("e2e.support.process")
local sched = require("e2e.support.sched")
local stat = require("posix.sys.stat")
local time = require("posix.time")
local unistd = require("posix.unistd")
local volume = require("e2e.support.volume")
local watching = require("e2e.support.watching")

local put = volume.put

-- /a answered by a plugin of one's own instead.
local USING_MINE = watching.answering("a", "x"):gsub("request%-termination, config: {.*", "mine}\n")

describe("configuration that arrives while serving", function()
  local site

  before_each(function()
    site = watching.new()
  end)

  after_each(function()
    site:finish()
  end)

  it("takes a changed key of a volume, and nothing when nothing has changed", function()
    local vol = site:serve_volume({ ["a.yaml"] = watching.answering("a", "one") })
    local before = site:config()
    assert.same({ 1, 1, "inotify", true }, { before.generation, before.files, before.watch, before.last_attempt.ok })
    vol:write({ ["a.yaml"] = watching.answering("a", "two") })
    site:wait_says("two", "/a")
    site:wait_reloads("ok", 1)
    local after = site:config()
    assert.is_true(after.hash ~= before.hash and after.generation == 2 and after.loaded_at >= before.loaded_at)
    vol:write({ ["a.yaml"] = watching.answering("a", "two") })
    site:wait_reloads("unchanged", 1)
    vol:write({ ["a.yaml"] = watching.answering("a", "two") .. "# a remark\n" })
    site:wait_reloads("unchanged", 2)
    assert.equal(1, site:reloads("ok"))
    assert.equal(after.hash, site:config().hash)
  end)

  it("takes added, removed and renamed keys, in both orders of writing", function()
    local vol = site:serve_volume({ ["a.yaml"] = watching.answering("a", "1") })
    local n = 0
    for _, links_first in ipairs({ false, true }) do
      local opts = { links_first = links_first, pause = 0.01 }
      for _, keys in ipairs({ { "a", "b" }, { "b" }, { "c" }, { "a" } }) do
        local files = {}
        for _, key in ipairs(keys) do
          files[key .. ".yaml"] = watching.answering(key, tostring(n))
        end
        vol:write(files, opts)
        n = n + 1
        site:wait_says(tostring(n - 1), "/" .. keys[1])
        site:wait_reloads("ok", n)
      end
    end
    assert.equal(0, site:reloads("error"))
  end)

  local function pair(n)
    local files = {
      ["a.yaml"] = watching.answering("x", ""):gsub("request%-termination.*",
        ("half, config: {text: \"%d\"}}\n"):format(n)),
      ["b.yaml"] = ('_format_version: "3.0"\nplugins:\n- {name: whole, config: {text: "%d"}}\n'):format(n),
      ["plugins/half/schema.lua"] = watching.SCHEMA:format("half"),
      ["plugins/half/handler.lua"] = [[
        local M = { PRIORITY = 9, VERSION = "1.0.0" }
        function M:access(conf)
          kong.ctx.shared.half = conf.text
        end
        return M]],
      ["plugins/whole/schema.lua"] = watching.SCHEMA:format("whole"),
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
      local c = client.connect(site.gw)
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
    local vol = site:serve_volume(pair(0), { workers = 2 })
    local counts = { done = 0, mixed = {} }
    local tasks = { asking(counts), asking(counts) }
    for n = 1, 4 do
      vol:write(pair(n), { pause = 0.05, links_first = n % 2 == 0 })
    end
    site:wait_says("4 4 4", "/x")
    counts.stop = true
    for _, task in ipairs(tasks) do
      task:join()
    end
    assert.same({}, counts.mixed)
    assert.is_true(counts.done > 100)
    assert.equal(0, site:reloads("error"))
  end)

  it("lives through 400 swaps a second under load, and grows in nothing", function()
    local SECONDS, PER_SECOND = 6, 400
    local last = SECONDS * PER_SECOND
    local vol = site:serve_volume(pair(0), { workers = 2 })
    local counts = { done = 0, mixed = {} }
    local tasks = { asking(counts), asking(counts) }
    local began = sched.now()
    local writer = process.fork(function()
      for n = 1, last do
        vol:write(pair(n))
        local ahead = began + n / PER_SECOND - sched.now()
        if ahead > 0 then
          time.nanosleep({ tv_sec = 0, tv_nsec = math.floor(ahead * 1e9) })
        end
      end
    end)
    sched.wait_until(function()
      return site:reloads("ok") >= 1
    end)
    local before = site.gw.process:sizes()
    assert.same({ "exited", 0 }, { writer:wait(10 * SECONDS * sched.slow) })
    local took = sched.now() - began
    site:wait_says(("%d %d %d"):format(last, last, last), "/x")
    counts.stop = true
    for _, task in ipairs(tasks) do
      task:join()
    end
    assert.same({}, counts.mixed)
    assert.is_true(counts.done > 100)
    assert.is_true(took < SECONDS * 1.5 * sched.slow, ("%d swaps took %.1f s"):format(last, took))
    assert.equal(0, site:reloads("error"))
    local after
    sched.wait_until(function() -- a load may be under way, an old generation be closing
      after = site.gw.process:sizes()
      return after.files <= before.files
    end, 10 * sched.slow, function()
      return ("%d descriptors became %d"):format(before.files, after.files)
    end)
    assert.is_true(sched.slow > 1 or after.kb - before.kb < 8192, ("%d kB became %d kB"):format(before.kb, after.kb))
  end)

  local function refuses(vol, files, file, line, pattern)
    local failed = site:reloads("error")
    vol:write(files)
    site:wait_reloads("error", failed + 1)
    local attempt = site:config().last_attempt
    assert.is_false(attempt.ok)
    local first = attempt.errors[1]
    assert.is_truthy(first.message:find(pattern), first.message)
    assert.is_truthy(not file or first.file:find(file, 1, true), first.file)
    assert.equal(line, first.line)
    assert.equal(0, site.gw:metrics().moongate_config_last_reload_successful)
    assert.equal(200, client.get(site.gw:status(), "/status/ready").status)
    assert.equal("good", site:says("/a"))
  end

  it("keeps what works when the new is invalid, says why, and recovers", function()
    local good = { ["a.yaml"] = watching.answering("a", "good") }
    local vol = site:serve_volume(good)
    site.gw:expect_error(".")
    local generation = site:config().generation
    refuses(vol, { ["a.yaml"] = "_format_version: \"3.0\"\nservices: [\n" }, "a.yaml", 3, "failed parsing")
    refuses(vol, { ["a.yaml"] = watching.answering("a", "x"):gsub("request%-termination", "nonesuch") }, "a.yaml", 8, "nonesuch")
    refuses(vol, { ["a.yaml"] = watching.answering("a", "x"), ["b.yaml"] = watching.answering("a", "x") }, "b.yaml", 3, "a.yaml")
    local files = watching.plugin({ ["a.yaml"] = USING_MINE }, "mine", "w")
    files["plugins/mine/handler.lua"] = "return {\n  PRIORITY = = 1\n}\n"
    refuses(vol, files, "mine/handler.lua", 2, "unexpected symbol")
    files["plugins/mine/handler.lua"] = "return { VERSION = '1.0.0' }\n"
    refuses(vol, files, nil, nil, "has no PRIORITY")
    vol:write(good)
    sched.wait_until(function()
      return site:config().last_attempt.ok
    end)
    assert.equal(generation, site:config().generation)
    assert.equal(0, site:reloads("ok"))
    assert.equal(1, site.gw:metrics().moongate_config_last_reload_successful)
    vol:write({ ["a.yaml"] = watching.answering("a", "better") })
    site:wait_says("better", "/a")
  end)

  it("outlives a plugin whose code never ends", function()
    local vol = site:serve_volume({ ["a.yaml"] = watching.answering("a", "good") }, { settings = { worker_hang = "500ms" } })
    site.gw:expect_error(".")
    local files = watching.plugin({ ["a.yaml"] = USING_MINE }, "mine", "w")
    files["plugins/mine/handler.lua"] = "while true do end"
    vol:write(files)
    site:wait_reloads("error", 1)
    site:wait_says("good", "/a")
    assert.is_truthy(site:config().last_attempt.errors[1].message:find("died"))
    vol:write({ ["a.yaml"] = watching.answering("a", "better") })
    site:wait_says("better", "/a")
  end)

  it("accepts two volumes of which one comes later", function()
    local plugins = volume.create(site.root .. "/code")
    plugins:write({ ["README"] = "nothing yet" })
    local vol = site:serve_volume({ ["a.yaml"] = watching.answering("a", "good") }, { settings = { plugin_dirs = plugins.path } })
    site.gw:expect_error(".")
    vol:write({ ["a.yaml"] = USING_MINE })
    site:wait_reloads("error", 1)
    assert.equal("good", site:says("/a"))
    plugins:write(watching.plugin({}, "mine", "late"))
    site:wait_says("late nil", "/a")
  end)

  it("sees every swap of a projected volume with directories in it", function()
    local vol = volume.create(site.root .. "/vol")
    local function write(n)
      vol:write(watching.plugin({ ["conf.d/a.yaml"] = watching.answering("a", "x"):gsub("request%-termination, config: {.*",
        ("mine, config: {text: \"%d\"}}\n"):format(n)) }, "mine", "v" .. n))
    end
    write(1)
    site:start({ config_dir = vol.path .. "/conf.d", settings = { plugin_dirs = vol.path } })
    assert.equal("v1 1", site:says("/a"))
    write(2)
    site:wait_says("v2 2", "/a")
    write(3)
    site:wait_says("v3 3", "/a")
    assert.equal(2, site:reloads("ok"))
  end)

  it("works without inotify", function()
    local program = site.root .. "/starved"
    put(program, "#!/bin/sh\nexec unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"' "
      .. assert(unistd.access(gateway.program, "x") and io.popen("readlink -f " .. gateway.program):read("*l")) .. ' "$@"\n')
    stat.chmod(program, 493)
    put(site.root .. "/conf/a.yaml", watching.answering("a", "one"))
    site:start({ config_dir = site.root .. "/conf", program = program, settings = { watch_interval = "200ms" } })
    assert.equal(1, site.gw:metrics()['moongate_config_watch_mode{mode="poll"}'])
    put(site.root .. "/conf/a.yaml", watching.answering("a", "two"))
    site:wait_says("two", "/a")
    put(site.root .. "/conf/b.yaml", watching.answering("b", "new"))
    site:wait_says("new", "/b")
    assert.equal(2, site:reloads("ok"))
  end)

  it("leaves the files alone when it is told so", function()
    put(site.root .. "/conf/a.yaml", watching.answering("a", "one"))
    site:start({ config_dir = site.root .. "/conf", settings = { watch = "off" } })
    assert.equal("off", site:config().watch)
    put(site.root .. "/conf/a.yaml", watching.answering("a", "two"))
    assert.equal("one", site:says("/a"))
    site.gw:reload(nil, "configuration reloaded")
    assert.equal("two", site:says("/a"))
  end)

  it("looks at everything when events were lost", function()
    put(site.root .. "/conf/a.yaml", watching.answering("a", "one"))
    site:start({ config_dir = site.root .. "/conf", settings = { watch = "inotify" } })
    site.gw:signal("STOP")
    local limit = tonumber(io.open("/proc/sys/fs/inotify/max_queued_events"):read("*n"))
    for i = 1, limit do
      local name = site.root .. "/conf/n" .. i % 2 .. ".tmp"
      io.open(name, "w"):close()
    end
    os.remove(site.root .. "/conf/n0.tmp")
    os.remove(site.root .. "/conf/n1.tmp")
    put(site.root .. "/conf/a.yaml", watching.answering("a", "two"))
    site.gw:signal("CONT")
    site:wait_says("two", "/a")
  end)

  it("arms again when the directory goes and comes back", function()
    put(site.root .. "/conf/a.yaml", watching.answering("a", "one"))
    site:start({ config_dir = site.root .. "/conf" })
    site.gw:expect_error(".")
    volume.remove(site.root .. "/conf")
    site:wait_reloads("error", 1)
    assert.equal("one", site:says("/a"))
    put(site.root .. "/conf/a.yaml", watching.answering("a", "two"))
    site:wait_says("two", "/a")
    assert(os.rename(site.root .. "/conf", site.root .. "/old"))
    put(site.root .. "/new/a.yaml", watching.answering("a", "three"))
    assert(os.rename(site.root .. "/new", site.root .. "/conf"))
    site:wait_says("three", "/a")
    put(site.root .. "/conf/a.yaml", watching.answering("a", "four"))
    site:wait_says("four", "/a")
  end)

  it("reloads once for each way of saving a file", function()
    local path = site.root .. "/conf/a.yaml"
    put(path, watching.answering("a", "0"))
    site:start({ config_dir = site.root .. "/conf" })
    local WAYS = {
      function(text)
        put(path, text)
      end,
      function(text) -- vim
        put(site.root .. "/conf/4913", "")
        os.remove(site.root .. "/conf/4913")
        os.rename(path, path .. "~")
        put(path, text)
        os.remove(path .. "~")
      end,
      function(text) -- sed -i
        put(site.root .. "/conf/sedXX1", text)
        os.rename(site.root .. "/conf/sedXX1", path)
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
      save(watching.answering("a", tostring(n)))
      site:wait_says(tostring(n), "/a")
      site:wait_reloads("ok", n)
    end
    assert.equal(0, site:reloads("error"))
  end)

  it("refuses a link that leads out of the directory, and names it", function()
    local vol = site:serve_volume({ ["a.yaml"] = watching.answering("a", "good") })
    site.gw:expect_error(".")
    put(site.root .. "/conf/a.yaml", watching.answering("a", "x"))
    unistd.link("/etc/shadow", vol.path .. "/shadow.yaml", true)
    vol:write({ ["a.yaml"] = watching.answering("a", "fine") })
    site:wait_says("fine", "/a") -- beside the volume's own files nothing is read
    site.gw:stop()
    unistd.link("/etc/shadow", site.root .. "/conf/shadow.yaml", true)
    local result = gateway.command({ "check", site.root .. "/conf" })
    assert.equal(1, result.code)
    assert.is_truthy(result.output:find("shadow.yaml: cannot be read: .*leads out of its directory"), result.output)
    assert.is_nil(result.output:find("root:", 1, true))
    os.remove(site.root .. "/conf/shadow.yaml")
    assert(stat.mkfifo(site.root .. "/conf/pipe.yaml"))
    result = gateway.command({ "check", site.root .. "/conf" })
    assert.equal(1, result.code)
    assert.is_truthy(result.output:find("pipe.yaml: cannot be read: .*no regular file"), result.output)
    site.gw = nil
  end)

  it("keeps what works when all keys are removed", function()
    local vol = site:serve_volume({ ["a.yaml"] = watching.answering("a", "good") })
    site.gw:expect_error(".")
    vol:write({})
    site:wait_reloads("error", 1)
    assert.equal("good", site:says("/a"))
  end)

  it("waits for files whose owner comes late", function()
    local vol = volume.create(site.root .. "/vol")
    vol:write({ ["a.yaml"] = watching.answering("a", "one") })
    local program = site.root .. "/nobody"
    put(program, "#!/bin/sh\nexec setpriv --reuid 65534 --clear-groups "
      .. io.popen("readlink -f " .. gateway.program):read("*l") .. ' "$@"\n')
    stat.chmod(program, 493)
    assert(unistd.chown(site.root, 65534, 65534))
    site:start({ config_dir = vol.path, program = program, settings = { prefix = site.root, access_log = "off",
      error_log = "stderr", watch_interval = "300ms" } })
    vol:write({ ["a.yaml"] = watching.answering("a", "two") }, { mode = 384, late = 0.1 })
    site:wait_says("two", "/a")
  end)

  it("says at start when a file cannot be replaced from outside", function()
    put(site.root .. "/conf/a.yaml", watching.answering("a", "one"))
    put(site.root .. "/f.yaml", "")
    local program = site.root .. "/mounted"
    put(program, ("#!/bin/sh\nexec unshare -Urm sh -c 'mount --bind %s/conf/a.yaml %s/f.yaml && exec \"$0\" \"$@\"' %s \"$@\"\n")
      :format(site.root, site.root, io.popen("readlink -f " .. gateway.program):read("*l")))
    stat.chmod(program, 493)
    site:start({ config_dir = site.root .. "/f.yaml", program = program })
    site.gw:wait_log("f.yaml is a mount of its own: .*subPath")
    os.remove(site.root .. "/conf/a.yaml")
    put(site.root .. "/conf/a.yaml", watching.answering("a", "two"))
    assert.equal("one", site:says("/a"))
  end)
end)
