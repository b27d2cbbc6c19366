-- Gateways that take their configuration from Redis: pushed once, everywhere in use, never lost.

local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local redis = require("e2e.support.redis")
local sched = require("e2e.support.sched")
local watching = require("e2e.support.watching")

local HEAD = '_format_version: "3.0"\nservices:\n'

local function answers(gw, path, body)
  sched.wait_until(function()
    local response = client.get(gw, path)
    return response.status == 200 and response.body:find(body, 1, true)
  end, nil, path .. " is not answered with " .. body)
end

describe("configuration from Redis", function()
  local server, gateways, dir

  before_each(function()
    server, gateways = redis.start(), {}
    dir = watching.new()
  end)

  after_each(function()
    local ok, why = true, nil
    for _, gw in ipairs(gateways) do
      local stopped, err = pcall(gw.stop, gw)
      ok, why = ok and stopped, why or err
    end
    server:stop()
    os.execute("rm -rf " .. dir.root)
    assert(ok, why)
  end)

  local function url()
    return "redis://127.0.0.1:" .. server.port
  end

  local function start(opts)
    opts = opts or {}
    opts.settings = opts.settings or {}
    opts.settings.config_redis = url()
    opts.config = {}
    local gw = gateway.start(opts)
    gw:expect_error("config_redis: ")
    gateways[#gateways + 1] = gw
    return gw
  end

  local function put(name, text)
    local path = dir.root .. "/" .. name
    os.execute("mkdir -p " .. path:match("^(.*)/"))
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
  end

  local function config(name, text)
    return put("conf/" .. name .. ".yaml", watching.answering(name, text))
  end

  local function command(...)
    return gateway.command({ "config", ... }, { env = { MOONGATE_CONFIG_REDIS = url() } })
  end

  local function push(...)
    local result = command("push", ...)
    assert.same(0, result.code, result.output)
    return result.output:match("%x+")
  end

  it("is not ready before the first, then has it in every worker of every gateway", function()
    local one, two = start({ workers = 2 }), start()
    local ready = client.get(one:status(), "/status/ready")
    assert.same({ 503, '{"message":"no configuration available"}' }, { ready.status, ready.body })
    assert.same(404, client.get(one, "/a").status)
    local hash = push(config("a", "first"))
    assert.same(64, #hash)
    answers(one, "/a", "first")
    answers(two, "/a", "first")
    assert.same(200, client.get(two:status(), "/status/ready").status)
    local again = push(config("a", "second"))
    assert.not_same(hash, again)
    answers(one, "/a", "second")
    answers(two, "/a", "second")
  end)

  it("pushes a directory of files, and only over the one that is meant", function()
    local gw = start()
    config("a", "of a")
    config("b", "of b")
    local hash = push(dir.root .. "/conf")
    answers(gw, "/a", "of a")
    answers(gw, "/b", "of b")
    local refused = command("push", "--if-match", ("0"):rep(64), dir.root .. "/conf/a.yaml")
    assert.same(2, refused.code, refused.output)
    assert.matches("not pushed: the current configuration is " .. hash, refused.output, 1, true)
    push("--if-match", hash, dir.root .. "/conf/a.yaml")
    sched.wait_until(function()
      return client.get(gw, "/b").status == 404
    end)
  end)

  it("pushes nothing that is invalid", function()
    local result = command("push", put("bad.yaml", HEAD .. "- name: a\n  url: nowhere\n"))
    assert.same(1, result.code)
    assert.matches("bad.yaml:%d+:%d+: ", result.output)
    assert.matches("nothing was pushed", result.output, 1, true)
    assert.same("$-1", server:command("GET moongate:{default}:current"))
  end)

  it("keeps what it has when Redis is emptied, damaged, hung or gone, also over a restart", function()
    local gw = start()
    push(config("a", "kept"))
    answers(gw, "/a", "kept")
    server:command("FLUSHALL")
    server:command("SET moongate:{default}:current " .. ("ab"):rep(32))
    server:command("XADD moongate:{default}:events * hash x")
    gw:wait_log("bundle abab%x+ is not there; the configuration on disk stays in use")
    answers(gw, "/a", "kept")
    server:kill()
    answers(gw, "/a", "kept")
    local prefix = dir.root .. "/prefix"
    assert.same(0, os.execute(("mkdir %s && cp -a %s/prefix/remote %s"):format(prefix, gw.dir, prefix)))
    local restarted = start({ settings = { prefix = prefix } })
    answers(restarted, "/a", "kept")
    server:run()
    push(config("a", "newer"))
    answers(gw, "/a", "newer")
    answers(restarted, "/a", "newer")
  end)

  it("goes on serving the old one where the new one does not load, and says who", function()
    local gw = start()
    push(config("a", "good"))
    answers(gw, "/a", "good")
    for _, expected in ipairs({ "plugin 'not%-here'", "warning: holds no", "reload refused" }) do
      gw:expect_error(expected)
    end
    push("--skip-check", put("conf/a.yaml", watching.answering("a", "bad")
      .. "plugins:\n- {name: not-here}\n"))
    sched.wait_until(function()
      local result = command("nodes")
      return result.code == 3 and result.output:find("refused: .*plugin 'not%-here'")
    end, 15, "the refusal is not told")
    answers(gw, "/a", "good")
  end)

  it("takes only what is signed, when a key is set; then with plugins", function()
    local key, public = dir.root .. "/key.pem", dir.root .. "/public.pem"
    assert.same(0, os.execute(("openssl genpkey -algorithm ed25519 -out %s && openssl pkey -in %s -pubout -out %s")
      :format(key, key, public)))
    local gw = start({ settings = { config_redis_public_key = public } })
    config("a", "unsigned")
    push(dir.root .. "/conf")
    gw:wait_log("is not signed, and config_redis_public_key asks for a signature")
    assert.same(404, client.get(gw, "/a").status)
    sched.wait_until(function()
      return command("nodes").output:find("refused: bundle %x+ is not signed")
    end, nil, "the refusal is not told")
    for name, text in pairs(watching.plugin({}, "hello", "hello")) do
      put("conf/" .. name, text)
    end
    put("conf/a.yaml", HEAD .. "- {name: a, url: 'http://127.0.0.1:1', routes: [{name: a, paths: [/a]}], "
      .. "plugins: [{name: hello, config: {text: signed}}]}\n")
    push("--sign", key, dir.root .. "/conf")
    answers(gw, "/a", "hello signed")
  end)

  it("takes bundles up to the limit; larger ones are refused and cannot stop it", function()
    local gw = start()
    local path = config("a", "large")
    local function write(bytes) -- quotes are what JSON makes longer
      put("conf/a.yaml", watching.answering("a", "large") .. ("#" .. ('"'):rep(99) .. "\n"):rep(bytes / 101))
    end
    write(4 * 1024 * 1024)
    push("--skip-check", path)
    answers(gw, "/a", "large")
    write(5 * 1024 * 1024)
    local result = command("push", "--skip-check", path)
    assert.same(1, result.code)
    assert.matches("the bundle is too large: %d+ bytes are more than 8 MiB", result.output)
  end)

  it("says of a gateway that has nothing yet just that", function()
    local _ = start()
    sched.wait_until(function()
      return command("nodes").output:find("  none yet  ", 1, true)
    end, nil, "the node is not listed so")
  end)

  it("says why Redis refused a push, and keeps what is current", function()
    local hash = push(config("a", "kept"))
    server:command("REPLICAOF 127.0.0.1 1")
    local result = command("push", config("a", "other"))
    assert.same(1, result.code)
    assert.matches("not pushed: READONLY", result.output, 1, true)
    server:command("REPLICAOF NO ONE")
    assert.truthy(command("nodes").output:find(hash, 1, true))
  end)

  it("pushes directories without the library lfs, which an image does not have", function()
    put("lua/lfs.lua", 'error("lfs is not here")')
    config("a", "listed")
    local result = gateway.command({ "config", "push", dir.root .. "/conf" },
      { env = { MOONGATE_CONFIG_REDIS = url(), MOONGATE_LUA_PATH = dir.root .. "/lua/?.lua;;" } })
    assert.same(0, result.code, result.output)
  end)

  it("keeps clusters apart", function()
    local gw = start({ settings = { config_redis_cluster = "blue" } })
    push(config("a", "of default"))
    push("--config-redis-cluster", "blue", config("a", "of blue"))
    answers(gw, "/a", "of blue")
    local result = command("nodes", "--config-redis-cluster", "blue", "--json")
    assert.matches('"nodes":[{', result.output, 1, true)
    assert.matches('"nodes":[]', command("nodes", "--json").output, 1, true)
  end)
end)
