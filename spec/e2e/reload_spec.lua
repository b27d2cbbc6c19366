-- Reloads and what is under way: streams, requests, load, workers that die; code and secrets of before and after.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local process = require("e2e.support.process")
local sched = require("e2e.support.sched")
local stat = require("posix.sys.stat")
local upstream = require("e2e.support.upstream")
local volume = require("e2e.support.volume")
local watching = require("e2e.support.watching")

local put = volume.put

describe("a reload", function()
  local site

  before_each(function()
    site = watching.new()
  end)

  after_each(function()
    site:finish()
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
      local vol = site:serve_volume({ ["a.yaml"] = routes("stream", "other") })
      local c = client.connect(site.gw)
      c:write({ path = "/stream" })
      local response = c:answer({ head_only = true })
      local first = response:next()
      for n = 1, 10 do
        vol:write({ ["a.yaml"] = n < 3 and routes("stream", "n" .. n) or routes("n" .. n) })
        site:wait_reloads("ok", n)
      end
      assert.is_true(site.gw:metrics().moongate_config_generations_alive >= 2)
      go = true
      assert.equal("data: 1\n\ndata: 2\n\n", first .. response:finish().body:sub(#first + 1))
      c:close()
      sched.wait_until(function()
        return site.gw:metrics().moongate_config_generations_alive == 1
      end)
      up.script = nil
      assert.equal(404, client.get(site.gw, "/stream").status)
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
          ["plugins/mine/schema.lua"] = watching.SCHEMA:format("mine"),
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
      local vol = site:serve_volume(files("old"), { workers = 1 })
      local c = client.connect(site.gw)
      c:write({ path = "/x" })
      sched.wait_until(function()
        return #up.requests == 1
      end)
      vol:write(files("new"))
      site:wait_reloads("ok", 1)
      go = true
      local answer = c:answer()
      assert.equal("old old", answer:header("x-word"))
      site.gw:wait_log("logged by old")
      site.gw:wait_log("timer of old, premature true")
      site.gw:wait_log("state of earlier plugin code is closed")
      assert.equal("new new", c:request({ path = "/x" }):header("x-word"))
      c:close()
    end)

    it("stops loops of the code before as well", function()
      local function files(word)
        return {
          ["a.yaml"] = routes("x") .. "plugins:\n- {name: mine}\n",
          ["plugins/mine/schema.lua"] = watching.SCHEMA:format("mine"),
          ["plugins/mine/handler.lua"] = ([[
            local M = { PRIORITY = 1, VERSION = "1.0.0" }
            local function waits()
              kong.log.notice("WORD waits")
              local i = 0
              repeat
                ngx.sleep(0.005)
                i = i + 1
              until kong.router.get_route() and ngx.shared.kong:get("go") or i > 2000
            end
            function M:access()
              if kong.request.get_query_arg("go") then
                ngx.shared.kong:set("go", true)
                return kong.response.exit(200, "WORD")
              end
              waits()
              local n = 0
              while true do n = n + 1 end
            end
            return M]]):gsub("WORD", word),
        }
      end
      local vol = site:serve_volume(files("old"), { workers = 1 })
      site.gw:expect_error("plugin_budget")
      local pid = site.gw.process:children()[1]
      local c = client.connect(site.gw)
      c:write({ path = "/x" })
      site.gw:wait_log("old waits")
      vol:write(files("new"))
      site:wait_reloads("ok", 1)
      assert.equal("new", client.get(site.gw, "/x?go=1").body)
      assert.status(500, c:answer())
      c:close()
      assert.equal(pid, site.gw.process:children()[1])
    end)

    it("fails no request, and grows in nothing, over a hundred reloads", function()
      local function code(n)
        put(site.root .. "/conf/plugins/mine/handler.lua",
          ("-- %d\nreturn {PRIORITY = 1, VERSION = '1.0.0', access = function() end}"):format(n))
      end
      put(site.root .. "/conf/a.yaml", routes("x") .. "plugins: [{name: mine}]\n")
      put(site.root .. "/conf/plugins/mine/schema.lua", watching.SCHEMA:format("mine"))
      code(0)
      site:start({ config_dir = site.root .. "/conf", workers = 2, settings = { watch = "off" } })
      local counts = { done = 0, failed = 0 }
      local task = sched.spawn(function()
        local c = client.connect(site.gw)
        while not counts.stop do
          local ok = c:request({ path = "/x" }).status == 200
          counts[ok and "done" or "failed"] = counts[ok and "done" or "failed"] + 1
        end
        c:close()
      end)
      local function reload(n)
        for i = 1, n do
          code(i % 3) -- other code each time: another Lua state
          local before = site:reloads("ok")
          site.gw:signal("HUP")
          sched.wait_until(function()
            return site:reloads("ok") > before
          end)
        end
      end
      reload(10)
      local before = site.gw.process:sizes()
      reload(100)
      local after = site.gw.process:sizes()
      counts.stop = true
      task:join()
      assert.equal(0, counts.failed)
      assert.is_true(counts.done > 200)
      assert.is_true(math.abs(after.files - before.files) <= 2, ("%d descriptors became %d"):format(before.files, after.files))
      assert.is_true(sched.slow > 1 or after.kb - before.kb < 6144, -- sanitizers keep what was freed
        ("%d kB became %d kB"):format(before.kb, after.kb))
    end)
  end)

  describe("of ten thousand routes", function()
    local FLOOR_US = 5000 -- below that a percentile tells of the machine, not of the gateway

    local function many(path)
      local lines = { watching.answering("x", "x"):match("^(.-)  plugins:") }
      for i = 1, 10000 do
        lines[i + 1] = ('  - {name: %s%d, paths: ["/%s%d"]}\n'):format(path, i, path, i)
      end
      lines[#lines + 1] = "  plugins: [{name: request-termination, config: {status_code: 200}}]\n"
      return table.concat(lines)
    end

    -- Asks 1,000 times a second on 16 connections; what it measured.
    local function load_for(seconds)
      local out = site.root .. "/load.json"
      os.remove(out)
      local child = process.start({ program = site.root .. "/rate_load", stdout = out, stderr = out,
        args = { "-p", tostring(site.gw.port), "-f", site.root .. "/request", "-r", "1000", "-c", "16",
          "-d", tostring(seconds), "-w", "0.1" } })
      assert.same({ "exited", 0 }, { child:wait(seconds + 5 * sched.slow) })
      local file = assert(io.open(out))
      local result = cjson.decode(file:read("*a"))
      file:close()
      assert.same({ 0, 0, 0 }, { result.errors, result.non200, result.unfinished })
      return result.latency_us.p99
    end

    it("fails no request of 1,000 a second, and at most doubles their p99", function()
      assert(os.execute("cc -O2 -Ispec/bench -o " .. site.root .. "/rate_load spec/bench/rate_load.c -lm"))
      put(site.root .. "/request", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
      put(site.root .. "/conf/a.yaml", many("a"))
      site:start({ config_dir = site.root .. "/conf", settings = { worker_hang = "10s" } })
      local tries = {}
      for try = 1, 4 do -- others use the machine too
        local steady = load_for(1)
        put(site.root .. "/conf/a.yaml", many("b" .. try .. "-"))
        local during = load_for(2)
        site:wait_reloads("ok", try)
        assert.equal(200, client.get(site.gw, "/b" .. try .. "-10000").status)
        if during <= math.max(2 * steady, FLOOR_US * sched.slow) then
          return
        end
        tries[try] = ("%d us became %d us"):format(steady, during)
      end
      error("p99: " .. table.concat(tries, ", "))
    end)
  end)

  it("watches without a master too", function()
    local vol = site:serve_volume({ ["a.yaml"] = watching.answering("a", "one") }, { args = { "--no-master" } })
    site.gw:expect_error(".")
    assert.equal("inotify", site:config().watch)
    vol:write({ ["a.yaml"] = watching.answering("a", "two") })
    site:wait_says("two", "/a")
    assert.same({ 2, 1, 1 }, { site:config().generation, site:config().workers, site:config().workers_acked })
    vol:write({ ["a.yaml"] = "services: [" })
    site:wait_reloads("error", 1)
    assert.equal("two", site:says("/a"))
    vol:write({ ["a.yaml"] = watching.answering("a", "two") })
    sched.wait_until(function()
      return site:config().last_attempt.ok
    end)
    assert.equal(2, site:config().generation)
  end)

  it("gives a respawned worker the code that works, whatever the files hold by then", function()
    put(site.root .. "/conf/a.yaml", watching.answering("a", "x"):gsub("request%-termination, config: {.*", "mine}\n"))
    put(site.root .. "/conf/plugins/mine/schema.lua", watching.SCHEMA:format("mine"))
    put(site.root .. "/conf/plugins/mine/handler.lua", watching.HANDLER:format("good"))
    site:start({ config_dir = site.root .. "/conf" })
    site.gw:expect_error(".")
    put(site.root .. "/conf/plugins/mine/handler.lua", "this is no Lua")
    site:wait_reloads("error", 1)
    require("posix.signal").kill(site.gw.process:children()[1], 9)
    site.gw:wait_log("was killed by signal 9")
    site:wait_says("good nil", "/a")
  end)

  for _, mode in ipairs({ "with", "without" }) do
    it("is not needed to start " .. mode .. " a master: the last good configuration may do", function()
      local function run()
        site:start({ config_dir = site.root .. "/conf", args = mode == "without" and { "--no-master" } or {},
          settings = { last_good = "on", prefix = site.root .. "/prefix" } })
      end
      put(site.root .. "/conf/a.yaml", watching.answering("a", "good"))
      stat.mkdir(site.root .. "/prefix")
      run()
      put(site.root .. "/conf/a.yaml", watching.answering("a", "better"))
      site:wait_says("better", "/a")
      site.gw:stop()
      assert.equal(33152, stat.stat(site.root .. "/prefix/last-good.json").st_mode)
      put(site.root .. "/conf/a.yaml", "services: [")
      run()
      site.gw:expect_error(".")
      assert.equal("better", site:says("/a"))
      assert.same({ true, false }, { site:config().last_good, site:config().last_attempt.ok })
      put(site.root .. "/conf/a.yaml", watching.answering("a", "best"))
      site:wait_says("best", "/a")
      assert.same({ false, true }, { site:config().last_good, site:config().last_attempt.ok })
    end)
  end

  it("takes a secret's new value from its file", function()
    local secrets = volume.create(site.root .. "/secrets")
    secrets:write({ ["token"] = "first\n", ["all"] = cjson.encode({ key = "inner-1" }) })
    local function key(value)
      return client.request({ to = site.gw, path = "/x", headers = { apikey = value } }).status
    end
    put(site.root .. "/conf/a.yaml", ([[
_format_version: "3.0"
vaults:
- {prefix: mounted, name: file, config: {prefix: %s}}
services:
- name: x
  url: http://127.0.0.1:9
  routes: [{name: x, paths: [/x]}]
  plugins: [{name: key-auth}, {name: request-termination, config: {status_code: 200}}]
consumers:
- {username: a, keyauth_credentials: [{key: "{vault://file/token}"}]}
- {username: b, keyauth_credentials: [{key: "{vault://mounted/all/key}"}]}
]]):format(secrets.path))
    site:start({ config_dir = site.root .. "/conf" })
    site.gw:expect_error(".")
    assert.same({ 200, 200, 401 }, { key("first"), key("inner-1"), key("second") })
    secrets:write({ ["token"] = "second\n", ["all"] = cjson.encode({ key = "inner-1" }) })
    sched.wait_until(function()
      return key("second") == 200
    end)
    assert.equal(401, key("first"))
    secrets:write({ ["all"] = "{}" })
    site:wait_reloads("error", 1)
    local text = cjson.encode(site:config())
    assert.is_truthy(text:find("token' cannot be read", 1, true), text)
    assert.is_nil(text:find("second", 1, true))
    assert.equal(200, key("second"))
    secrets:write({ ["token"] = "third", ["all"] = cjson.encode({ key = "inner-1" }) })
    sched.wait_until(function()
      return key("third") == 200
    end)
  end)
end)
