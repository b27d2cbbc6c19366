-- ngx.pipe: programs that plugins start, when the settings say so; each ends with the phase that started it.

require("e2e.support.expect")
local cjson = require("cjson")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local script = require("e2e.support.script")
local signal = require("posix.signal")

local null = cjson.null

local function alive(pid)
  return signal.kill(pid, 0) == 0
end

describe("ngx.pipe", function()
  local gw, up

  setup(function()
    gw, up = script.start({ settings = { trusted_plugins = "script", lua_pipe = "on" } })
  end)

  teardown(function()
    script.stop(gw, up)
  end)

  local function run(text, ...)
    return script.run(gw, [[local pipe = require "ngx.pipe" ]] .. text, ...)
  end

  it("writes to a program, reads its lines and waits for its end", function()
    assert.same({ 4, 2, true, "6", true, "exit", 0, null, "exited" }, run([[
      local proc = assert(pipe.spawn({ "wc", "-c" }))
      local first, second = proc:write("1234"), proc:write({ "5", 6 })
      local shut = proc:shutdown("stdin")
      local line = proc:stdout_read_line()
      local ok, reason, status = proc:wait()
      return first, second, shut, line, ok, reason, status, proc:wait()
    ]]))
  end)

  it("gives a shell's command, its status, and both outputs", function()
    assert.same({ "out", "er", "r\n", false, "exit", 7, null, "closed" }, run([[
      local proc = assert(pipe.spawn("printf out; echo err >&2; exit 7"))
      local out, two, rest = proc:stdout_read_all(), proc:stderr_read_bytes(2), proc:stderr_read_all()
      local ok, reason, status = proc:wait()
      return out, two, rest, ok, reason, status, proc:stderr_read_any(10)
    ]]))
  end)

  it("gives lines, counts and what there is, and what came before the end", function()
    assert.same({ "a", "b\rc", "de", "f", null, "closed", "gh", null, "closed" }, run([[
      local proc = assert(pipe.spawn({ "printf", "a\\r\\nb\\rc\\ndef\ngh" }))
      local a, b, de, f = proc:stdout_read_line(), proc:stdout_read_line(), proc:stdout_read_bytes(2), proc:stdout_read_line()
      local none, why, gh = proc:stdout_read_line()
      return a, b, de, f, none, why, gh, proc:stdout_read_line()
    ]]))
    assert.same({ "abc", "de", "", null, "closed" }, run([[
      local proc = assert(pipe.spawn({ "printf", "abcde" }))
      return proc:stdout_read_any(3), proc:stdout_read_any(10), proc:stdout_read_bytes(0), proc:stdout_read_any(1)
    ]]))
  end)

  it("merges the errors into the output when asked", function()
    assert.same({ "one\ntwo\n", null, "merged to stdout", null, "merged to stdout" }, run([[
      local proc = assert(pipe.spawn("echo one; echo two >&2", { merge_stderr = true, buffer_size = 16 }))
      local all = proc:stdout_read_all()
      local none, why = proc:stderr_read_line()
      return all, none, why, proc:shutdown("stderr")
    ]]))
  end)

  it("carries much in both directions at once", function()
    assert.same({ 3000000, 3000000, true }, run([[
      local proc = assert(pipe.spawn({ "cat" }))
      local writer = ngx.thread.spawn(function()
        local n = proc:write(("x"):rep(3000000))
        proc:shutdown("stdin")
        return n
      end)
      local all = proc:stdout_read_all()
      local _, n = ngx.thread.wait(writer)
      return n, #all, (proc:wait())
    ]]))
  end)

  it("gives a program the environment that was asked for, and no secrets by itself", function()
    assert.same({ "A=1\n", true, true }, run([[
      local given = pipe.spawn({ "/usr/bin/env" }, { environ = { "A=1" } }):stdout_read_all()
      local own = pipe.spawn({ "env" }):stdout_read_all()
      return given, own:find("PATH=", 1, true) ~= nil, own:find("MOONGATE", 1, true) == nil
    ]]))
  end)

  it("stops waiting at its time limits", function()
    assert.same({ null, "timeout", "", null, "timeout", null, "timeout", null, "timeout", "part" }, run([[
      local proc = assert(pipe.spawn("printf part >&2; sleep 60", { stdout_read_timeout = 20, wait_timeout = 20 }))
      proc:set_timeouts(20, nil, 60)
      local a, b, c = proc:stdout_read_bytes(3)
      local d, e = proc:wait()
      local f, g = proc:write(("x"):rep(1000000))
      local h, i, j = proc:stderr_read_all()
      return a, b, c, d, e, f, g, h, i, j
    ]]))
  end)

  it("signals a program", function()
    assert.same({ null, "invalid signal", true, false, "signal", 15, null, "exited" }, run([[
      local proc = assert(pipe.spawn({ "sleep", "60" }))
      assert(proc:pid() > 1)
      local none, why = proc:kill(1234)
      local sent = proc:kill(15)
      local ok, reason, status = proc:wait()
      return none, why, sent, ok, reason, status, proc:kill(15)
    ]]))
  end)

  it("lets one thread wait on a stream, which shutdown wakes up", function()
    assert.same({ "pipe busy reading", "pipe busy waiting", true, "aborted", "closed", true }, run([[
      local proc = assert(pipe.spawn({ "sleep", "60" }))
      local reader = ngx.thread.spawn(function() return select(2, proc:stdout_read_line()) end)
      local waiter = ngx.thread.spawn(function() return proc:wait() end)
      local reading, waiting = select(2, proc:stdout_read_line()), select(2, proc:wait())
      local shut = proc:shutdown("stdout")
      local _, aborted = ngx.thread.wait(reader)
      local closed = select(2, proc:stdout_read_line())
      ngx.thread.kill(waiter)
      return reading, waiting, shut, aborted, closed, proc:shutdown("stdout")
    ]]))
  end)

  it("says what is wrong with a call", function()
    local function why(text)
      return (run("return select(2, pcall(function() " .. text .. " end))")[1]:gsub("^script:%d+: ", ""))
    end
    assert.same("bad args arg: table or string expected, got nil", why("pipe.spawn()"))
    assert.same("bad args arg: non-empty table expected", why("pipe.spawn({})"))
    assert.same("bad args arg: an array of strings expected, got table at 2", why([[pipe.spawn({ "ls", {} })]]))
    assert.same("bad environ option: NAME=value expected, got A", why([[pipe.spawn("ls", { environ = { "A" } })]]))
    assert.same("bad wait_timeout option: milliseconds expected", why([[pipe.spawn("ls", { wait_timeout = -1 })]]))
    assert.same("bad signum arg: number expected, got nil", why([[pipe.spawn("sleep 9"):kill()]]))
    assert.same("bad direction arg: stdin, stdout or stderr expected, got in", why([[pipe.spawn("sleep 9"):shutdown("in")]]))
    assert.same("bad data arg: string, number, or table expected, got nil", why([[pipe.spawn("sleep 9"):write()]]))
    assert.same({ null, "cannot start /nowhere: No such file or directory" }, run([[return pipe.spawn({ "/nowhere" })]]))
  end)

  it("kills a program at the end of its request, and when the client goes", function()
    local pid = run([[return pipe.spawn({ "sleep", "60" }):pid()]])[1]
    sched.wait_until(function()
      return not alive(pid)
    end)
    local sock = client.connect(gw)
    local text = [[
      local proc = require("ngx.pipe").spawn({ "sleep", "60" })
      ngx.log(ngx.WARN, "started ", proc:pid(), ".")
      proc:wait()
    ]]
    sock:send(("POST /script HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"):format(#text, text))
    pid = tonumber(gw:wait_log("started %d+%."):match("started (%d+)"))
    assert.truthy(alive(pid))
    sock:close()
    sched.wait_until(function()
      return not alive(pid)
    end)
  end)

  it("serves other requests meanwhile, also from timers", function()
    run([[
      ngx.timer.at(0, function()
        local proc = require("ngx.pipe").spawn("sleep 0.2; echo from a timer")
        ngx.log(ngx.WARN, "read ", proc:stdout_read_line(), ".")
      end)
    ]])
    assert.same({ 1 }, run("return 1"))
    gw:wait_log("read from a timer%.")
  end)
end)

describe("ngx.pipe without a master", function()
  it("hears of the end of its programs", function()
    local gw, up = script.start({ args = { "--no-master" }, settings = { trusted_plugins = "script", lua_pipe = "on" } })
    local got = script.run(gw, [[return require("ngx.pipe").spawn("exit 4"):wait()]])
    script.stop(gw, up)
    assert.same({ false, "exit", 4 }, got)
  end)
end)

describe("ngx.pipe without its settings", function()
  local WHY = "ngx.pipe.spawn is not supported by this gateway: "

  local function error_of(settings)
    local gw, up = script.start({ settings = settings })
    local got = script.run(gw, [[return select(2, pcall(require("ngx.pipe").spawn, "true"))]])[1]
    script.stop(gw, up)
    return got
  end

  it("starts nothing", function()
    assert.matches(WHY .. "the setting lua_pipe is off", error_of({ trusted_plugins = "script" }), 1, true)
    assert.matches(WHY .. "programs are started by plugins that the setting trusted_plugins names",
      error_of({ lua_pipe = "on" }), 1, true)
  end)
end)

describe("ngx.worker.pids", function()
  it("has every worker", function()
    local gw, up = script.start({ settings = { workers = "2" } })
    sched.wait_until(function()
      local got = script.run(gw, [[return ngx.worker.pid(), ngx.worker.pids(), ngx.worker.count()]])
      local pids = got[2]
      return got[3] == 2 and #pids == 2 and pids[1] ~= pids[2] and (pids[1] == got[1] or pids[2] == got[1])
    end)
    script.stop(gw, up)
  end)
end)
