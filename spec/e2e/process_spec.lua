-- The life of the processes: crash, hang, reload, drain, stop, with and without a master, and the program's commands.

require("e2e.support.expect")
local client = require("e2e.support.client")
local conn = require("e2e.support.conn")
local gateway = require("e2e.support.gateway")
local process = require("e2e.support.process")
local sched = require("e2e.support.sched")
local signal = require("posix.signal")
local stdlib = require("posix.stdlib")
local upstream = require("e2e.support.upstream")

local CONFIG = [[
_format_version: "3.0"
services:
- name: up
  url: http://127.0.0.1:%d
  retries: 0
  routes:
  - name: all
    paths: ["%s"]
]]

local GET = "GET /a HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n"

describe("the gateway's processes", function()
  local up, gw

  local function config(path)
    return CONFIG:format(up.port, path or "/")
  end

  local function start(opts)
    opts.config = opts.config or config()
    gw = gateway.start(opts)
    gw:wait_log("serving")
    return gw
  end

  local function workers()
    local pids = gw.process:children()
    table.sort(pids)
    return pids
  end

  -- A task that asks again and again on new connections: {done, refused, failed}.
  local function load_task(counts)
    return sched.spawn(function()
      while not counts.stop do
        local c = conn.connect(gw.host, gw.port)
        if not c then
          counts.refused = counts.refused + 1
        else
          c:send(GET)
          local answer = c:read_all()
          c:close()
          if answer and answer:find("^HTTP/1.1 200 ") then
            counts.done = counts.done + 1
          else
            counts.failed = counts.failed + 1
          end
        end
      end
    end)
  end

  local function under_load(n, fn)
    local counts = { done = 0, refused = 0, failed = 0 }
    local tasks = {}
    for i = 1, n do
      tasks[i] = load_task(counts)
    end
    local ok, why = pcall(fn, counts)
    counts.stop = true
    for _, task in ipairs(tasks) do
      task:join()
    end
    assert(ok, why)
    return counts
  end

  local function wait_done(counts, more)
    local want = counts.done + more
    sched.wait_until(function()
      return counts.done >= want
    end)
  end

  -- A response that streams until `finish` is called.
  local function open_stream()
    local stream = {}
    up:on(function(c)
      c:read_request()
      c:send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
      sched.wait_until(function()
        return stream.ended
      end, 20 * sched.slow)
      c:send("9\r\ndata: 2\n\n\r\n0\r\n\r\n")
    end)
    stream.client = client.connect(gw)
    stream.client:write({ path = "/a" })
    stream.response = stream.client:answer({ head_only = true })
    assert.same("1", stream.response:next_event().data)
    function stream.finish()
      stream.ended = true
      local event = stream.response:next_event()
      stream.client:close()
      return event and event.data
    end
    return stream
  end

  before_each(function()
    up = upstream.start()
    gw = nil
  end)

  after_each(function()
    if gw then
      gw:stop()
    end
    up:stop()
  end)

  it("answers readiness and status", function()
    start({ workers = 2 })
    local ready = client.get(gw:status(), "/status/ready")
    assert.status(200, ready)
    assert.same("ready", ready:json().message)
    local status = client.get(gw:status(), "/status"):json()
    assert.same(true, status.database.reachable)
    assert.same(32, #status.configuration_hash)
    assert.same(2, #status.memory.workers_lua_vms)
    assert.status(404, client.get(gw:status(), "/nothing"))
    local wrong = client.request({ to = gw:status(), method = "DELETE", path = "/status" })
    assert.status(405, wrong)
    assert.same("GET, HEAD", wrong:header("allow"))
    local metrics = client.get(gw:status(), "/metrics")
    assert.same("text/plain; version=0.0.4; charset=utf-8", metrics:header("content-type"))
    assert.truthy(metrics.body:find('\nkong_nginx_requests_total{node_id="[%x-]+",subsystem="http"} %d+\n'))
    assert.truthy(metrics.body:find("\nkong_datastore_reachable 1\n", 1, true))
  end)

  it("replaces a worker that crashes, under load, without refusing anybody", function()
    start({ workers = 2 })
    gw:expect_error("was killed by signal 9")
    local before = workers()
    local counts = under_load(4, function(counts)
      wait_done(counts, 50)
      signal.kill(before[1], signal.SIGKILL)
      gw:wait_log("worker %d .pid " .. before[1] .. ". was killed by signal 9 .Killed.")
      wait_done(counts, 100)
    end)
    assert.same(0, counts.refused)
    assert.truthy(counts.failed <= 4, counts.failed .. " requests failed")
    local after = workers()
    assert.same(2, #after)
    assert.truthy(after[1] ~= before[1] and after[2] ~= before[1])
    assert.same(1, gw:metrics()["moongate_worker_respawns_total"])
  end)

  it("keeps the other worker's streams through a crash", function()
    start({ workers = 2 })
    gw:expect_error("was killed by signal 9")
    local stream = open_stream()
    local busy
    for _, pid in ipairs(workers()) do
      local sockets = io.popen(("ls -l /proc/%d/fd | grep -c socket"):format(pid)):read("*n")
      if not busy or sockets > busy.sockets then
        busy = { pid = pid, sockets = sockets }
      end
    end
    for _, pid in ipairs(workers()) do
      if pid ~= busy.pid then
        signal.kill(pid, signal.SIGKILL)
      end
    end
    gw:wait_log("was killed by signal 9")
    assert.same("2", stream.finish())
  end)

  it("slows down when a worker keeps crashing, and recovers", function()
    start({ workers = 1 })
    gw:expect_error("was killed by signal 9")
    local last
    for _ = 1, 6 do
      sched.wait_until(function()
        local pid = workers()[1]
        return pid and pid ~= last
      end)
      last = workers()[1]
      signal.kill(last, signal.SIGKILL)
      gw:wait_log("pid " .. last .. ". was killed")
    end
    gw:wait_log("pid " .. last .. ".* the next one starts in 100 ms")
    sched.wait_until(function()
      return client.get(gw, "/a").status == 200
    end)
  end)

  it("kills and replaces a worker that hangs", function()
    start({ workers = 1, settings = { worker_hang = "400ms" } })
    gw:expect_error("has not moved for")
    gw:expect_error("was killed by signal")
    local pid = workers()[1]
    signal.kill(pid, signal.SIGSTOP)
    local from = sched.now()
    gw:wait_log("pid " .. pid .. ". was killed by signal")
    assert.truthy(sched.now() - from < 2 * sched.slow)
    assert.status(200, client.get(gw, "/a"))
  end)

  it("reloads in all workers without cutting a stream, and keeps the old configuration when the new is bad", function()
    start({ workers = 2 })
    gw:expect_error("reload refused")
    gw:expect_error("kong.yaml")
    local stream = open_stream()
    up:on(nil)
    local hash = client.get(gw:status(), "/status"):json().configuration_hash
    gw:reload(config("/b"), "configuration reloaded: hash %x+, 1 services, 1 routes")
    for _ = 1, 8 do
      assert.status(404, client.get(gw, "/a"))
      assert.status(200, client.get(gw, "/b"))
      assert.truthy(client.get(gw:status(), "/status"):json().configuration_hash ~= hash)
    end
    gw:reload("_format_version: '3.0'\nservices:\n- name: x\n  nonsense: 1\n", "reload refused")
    assert.status(200, client.get(gw, "/b"))
    assert.truthy(gw:errors():find("kong.yaml:%d+:%d+: services"))
    local metrics = gw:metrics()
    assert.same(1, metrics['moongate_config_reloads_total{result="ok"}'])
    assert.same(1, metrics['moongate_config_reloads_total{result="error"}'])
    assert.same("2", stream.finish())
  end)

  it("gives a worker that is respawned after a reload the new configuration", function()
    start({ workers = 1 })
    gw:expect_error("was killed by signal 9")
    gw:reload(config("/b"), "configuration reloaded")
    signal.kill(workers()[1], signal.SIGKILL)
    gw:wait_log("was killed by signal 9")
    assert.status(200, client.get(gw, "/b"))
    assert.status(404, client.get(gw, "/a"))
  end)

  it("loses no request to reloads under load", function()
    start({ workers = 2 })
    local counts = under_load(4, function(counts)
      for _ = 1, 5 do
        local before = select(2, gw:errors():gsub("configuration reloaded", ""))
        gw:signal("HUP")
        sched.wait_until(function()
          return select(2, gw:errors():gsub("configuration reloaded", "")) > before
        end)
        wait_done(counts, 20)
      end
    end)
    assert.same(0, counts.refused)
    assert.same(0, counts.failed)
  end)

  it("leaks no descriptor over reloads and crashes", function()
    start({ workers = 2 })
    gw:expect_error("was killed by signal 9")
    local function reloads(n)
      for _ = 1, n do
        local before = select(2, gw:errors():gsub("configuration reloaded", ""))
        gw:signal("HUP")
        sched.wait_until(function()
          return select(2, gw:errors():gsub("configuration reloaded", "")) > before
        end)
      end
    end
    reloads(2)
    local master, worker = process.open_files(gw.process.pid), process.open_files(workers()[2])
    signal.kill(workers()[1], signal.SIGKILL)
    gw:wait_log("was killed by signal 9")
    reloads(8)
    assert.same(master, process.open_files(gw.process.pid))
    assert.same(worker, process.open_files(workers()[1]))
  end)

  for _, mode in ipairs({ "with", "without" }) do
    it("drains " .. mode .. " a master: readiness off, new requests answered, then closed, the stream ends whole", function()
      start({ workers = 1, settings = { drain_delay = "600ms", master = mode == "with" and "on" or "off" } })
      local stream = open_stream()
      up:on(nil)
      gw:signal("TERM")
      sched.wait_until(function()
        local ready = client.get(gw:status(), "/status/ready")
        return ready.status == 503 and ready:json().message == "draining"
      end)
      assert.status(200, client.get(gw:status(), "/status"))
      local answer = client.get(gw, "/a")
      assert.status(200, answer)
      assert.same("close", answer:header("connection"))
      sched.wait_until(function()
        return conn.connect(gw.host, gw.port) == nil
      end, nil, "the proxy listener stays open")
      assert.truthy(gw.process:alive())
      assert.same("2", stream.finish())
      gw.process:wait()
      gw:stop()
    end)

    it("stops at once on a second SIGTERM " .. mode .. " a master", function()
      start({ workers = 1, settings = { drain_delay = "20s", master = mode == "with" and "on" or "off" } })
      local stream = open_stream()
      gw:signal("TERM")
      gw:wait_log("draining")
      local from = sched.now()
      gw:stop({ signal = "TERM" })
      assert.truthy(sched.now() - from < 1.5 * sched.slow)
      stream.ended = true
      stream.client:close()
    end)
  end

  it("hands over to a second instance on the same port without losing a request", function()
    local port = upstream.refused_port()
    local address = ("127.0.0.1:%d reuseport"):format(port)
    local old = start({ wait = false, workers = 2, settings = { drain_delay = "400ms", proxy_listen = address } })
    start({ wait = false, workers = 2, settings = { proxy_listen = address } })
    gw.port = port
    local counts = under_load(4, function(counts)
      wait_done(counts, 50)
      old:stop()
      wait_done(counts, 50)
    end)
    assert.same(0, counts.refused)
    assert.same(0, counts.failed)
  end)

  it("cuts what does not end within drain_timeout", function()
    start({ workers = 1, settings = { drain_timeout = "300ms" } })
    local stream = open_stream()
    local from = sched.now()
    gw:stop()
    assert.truthy(sched.now() - from < 3 * sched.slow)
    stream.ended = true
    stream.client:close()
  end)

  it("reloads without a master", function()
    start({ workers = 1, settings = { master = "off" } })
    gw:expect_error("reload refused")
    gw:expect_error("kong.yaml")
    assert.same(0, #workers())
    gw:reload(config("/b"), "configuration reloaded")
    assert.status(200, client.get(gw, "/b"))
    gw:reload("nonsense: [", "reload refused")
    assert.status(200, client.get(gw, "/b"))
    gw:stop()
  end)

  it("reopens its logs on SIGUSR1", function()
    start({ workers = 2 })
    os.rename(gw.dir .. "/access.log", gw.dir .. "/access.log.1")
    gw:signal("USR1")
    sched.wait_until(function()
      client.get(gw, "/a")
      return #gw:access_log() > 0
    end)
  end)

  it("leaves no process and no lock behind", function()
    start({ workers = 2 })
    local pids = workers()
    gw.process:signal("KILL") -- even when the master dies a sudden death
    gw.process:wait()
    sched.wait_until(function()
      return signal.kill(pids[1], 0) == nil and signal.kill(pids[2], 0) == nil
    end)
    gw = nil
  end)
end)

describe("the program", function()
  local function problems(args, config)
    return gateway.command(args, { config = config })
  end

  it("validates configurations", function()
    local good = problems({ "config", "validate" }, CONFIG:format(80, "/"))
    assert.same(0, good.code)
    assert.truthy(good.output:find("configuration is valid: 1 service, 1 route\n", 1, true))
    local bad = problems({ "config", "validate" }, "_format_version: '3.0'\nservices:\n- name: x\n  bad: 1\n")
    assert.same(1, bad.code)
    assert.truthy(bad.output:find("kong.yaml:%d+:%d+: services"))
    assert.same(1, gateway.command({ "-t", "/no/such/file.yaml" }).code)
    assert.same(2, gateway.command({ "config", "validate" }).code)
  end)

  it("says why a worker cannot start, and ends with nothing left open", function()
    local prefix = assert(stdlib.mkdtemp("/tmp/moongate-prefix-XXXXXX"))
    for _, master in ipairs({ "on", "off" }) do
      local result = gateway.command({ "start", "--access-log", "/missing/access.log", "--master", master }, {
        config = CONFIG:format(80, "/"),
        env = { MOONGATE_PROXY_LISTEN = "127.0.0.1:0", MOONGATE_STATUS_LISTEN = "127.0.0.1:0", MOONGATE_WORKERS = "1",
          MOONGATE_PREFIX = prefix },
      })
      assert.same(1, result.code, result.output)
      assert.truthy(result.output:find("worker 0 cannot start: access_log: /missing/access.log cannot be opened: No such", 1, true))
      assert.is_nil(result.output:find("Sanitizer") or result.output:find("runtime error", 1, true), result.output)
    end
    os.execute("rm -rf " .. prefix)
  end)

  it("explains wrong use in one line", function()
    local unknown, bad = { "start", "--workrs", "2" }, { "start", "--workers", "many" }
    for _, args in ipairs({ { "strat" }, unknown, bad, { "start" }, { "start", "-c" } }) do
      local result = gateway.command(args)
      assert.same(2, result.code)
      assert.same(1, select(2, result.output:gsub("\n", "\n")), result.output)
    end
  end)

  it("knows its version, its settings and its commands", function()
    assert.truthy(gateway.command({ "version" }).output:find("^moongate %d+%.%d+%.%d+\n"))
    assert.truthy(gateway.command({ "settings" }).output:find("proxy_listen", 1, true))
    for _, command in ipairs({ "start", "reload", "stop", "quit", "health", "check" }) do
      local result = gateway.command({ command, "--help" })
      assert.same(0, result.code)
      assert.truthy(result.output:find("^Usage: moongate " .. command))
    end
  end)

  it("refuses a start with a bad configuration, a taken port and a taken prefix", function()
    local bad = problems({ "start", "--proxy-listen", "127.0.0.1:0", "--status-listen", "off" }, "services: 5\n")
    assert.same(1, bad.code)
    assert.truthy(bad.output:find("not started: the configuration is invalid", 1, true))
    local gw = gateway.start({ config = CONFIG:format(80, "/") })
    local address = "127.0.0.1:" .. gw.port
    local args = { "start", "-c", gw.config_dir, "--status-listen", "off", "--proxy-listen", address }
    local port = gateway.command({ unpack(args) }, { env = { MOONGATE_PREFIX = gw.dir .. "/other" } })
    assert.same(1, port.code)
    local why = "cannot listen on " .. address .. " (proxy_listen): address not available or in use"
    assert.truthy(port.output:find(why, 1, true))
    local prefix = gateway.command({ unpack(args) }, { env = { MOONGATE_PREFIX = gw.dir .. "/prefix" } })
    assert.same(1, prefix.code)
    assert.truthy(prefix.output:find("already runs with prefix", 1, true))
    gw:stop()
  end)

  it("signals the running gateway by its prefix", function()
    local gw = gateway.start({ config = CONFIG:format(80, "/") })
    local env = { MOONGATE_PREFIX = gw.dir .. "/prefix", MOONGATE_STATUS_LISTEN = "127.0.0.1:" .. gw.status_port }
    sched.wait_until(function()
      return gateway.command({ "health" }, { env = env }).code == 0
    end)
    assert.same(0, gateway.command({ "reload" }, { env = env }).code)
    gw:wait_log("configuration reloaded")
    local child = sched.spawn(function()
      return gw.process:wait()
    end)
    assert.same(0, gateway.command({ "stop" }, { env = env }).code)
    child:join()
    assert.same(1, gateway.command({ "health" }, { env = env }).code)
    local again = gateway.command({ "stop" }, { env = env })
    assert.same(1, again.code)
    assert.truthy(again.output:find("nothing runs with prefix", 1, true))
    gw:stop()
  end)
end)
