-- TLS from clients: which certificate they are shown, and plugins that take part in the handshake.

require("e2e.support.expect")
local certs = require("e2e.support.certs")
local client = require("e2e.support.client")
local conn = require("e2e.support.conn")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")

local function certificate(pair, snis)
  return ("- cert: %s\n  key: %s\n  snis: [%s]\n"):format(certs.text(pair.certificate, 4), certs.text(pair.key, 4), snis)
end

-- The name in the certificate shown to a client that asks for `name`; nil and why when there is no connection.
local function shown(gw, name, opts)
  opts = opts or {}
  local tls = { server_name = name, key = opts.key, certificate = opts.certificate }
  local c, err = conn.connect("127.0.0.1", gw.tls_port, { tls = tls })
  if not c then
    return nil, err
  end
  local subject = c.sock:getpeercertificate():subject()[1].value
  c:close()
  return subject
end

local function over_tls(gw, opts)
  opts = opts or {}
  local to = { host = "127.0.0.1", port = gw.tls_port, client_tls = { server_name = opts.name, key = opts.key,
    certificate = opts.certificate } }
  return client.request({ to = to, path = opts.path or "/" })
end

describe("a client's certificate choice", function()
  it("follows exact names, then wildcards, then the default", function()
    local gw, up = site.start({ tls = true, more = "certificates:\n"
      .. certificate(certs.pair("exact.a.test"), '{name: exact.a.test}')
      .. certificate(certs.pair("*.a.test"), '{name: "*.a.test"}')
      .. certificate(certs.pair("b.test"), '{name: "b.*"}') })
    assert.same("exact.a.test", shown(gw, "exact.a.test"))
    assert.same("exact.a.test", shown(gw, "EXACT.a.test"))
    assert.same("*.a.test", shown(gw, "other.a.test"))
    assert.same("b.test", shown(gw, "b.example"))
    assert.same("localhost", shown(gw, "x.other.a.test"))
    assert.same("localhost", shown(gw, nil))
    gw:reload({ ["kong.yaml"] = site.config(up.url, { more = "certificates:\n"
      .. certificate(certs.pair("star.test"), '{name: "*"}') }) })
    sched.wait_until(function()
      return shown(gw, "x.other.a.test") == "star.test"
    end)
    assert.same("star.test", shown(gw, nil))
    site.stop(gw, up)
  end)
end)

local SCHEMA = [[
  local text = { type = "string" }
  return { name = "%s", fields = { { config = { type = "record", fields = { { dir = text } } } } } }]]

-- What it does is in the server name the client sends.
local HANDLER = [[
  local ssl = require("ngx.ssl")
  local M = { PRIORITY = 10, VERSION = "1.0.0" }
  local function read(path)
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    return text
  end
  function M:certificate(conf)
    local name = ssl.server_name() or "none"
    kong.log.notice("hello of ", name, " from ", kong.client.get_ip(), ":", kong.client.get_port(), " in ", ngx.get_phase())
    if name:find("slow") then
      ngx.sleep(tonumber(name:match("slow(%d+)")) / 1000)
      kong.log.notice("slept")
    end
    if name:find("swap") then
      assert(ssl.clear_certs())
      assert(ssl.set_cert(assert(ssl.parse_pem_cert(read(conf.dir .. "/swapped.test.pem")))))
      assert(ssl.set_priv_key(assert(ssl.parse_pem_priv_key(read(conf.dir .. "/swapped.test.key")))))
    end
    if name:find("ask") then
      assert(kong.client.tls.request_client_certificate())
    end
    if name:find("judge") then
      assert(ssl.verify_client(assert(ssl.parse_pem_cert(read(conf.dir .. "/ca.pem"))), 1))
    end
    if name:find("once") then
      assert(kong.client.tls.disable_session_reuse())
    end
    if name:find("mismatch") then
      ssl.clear_certs()
      ssl.set_cert(assert(ssl.parse_pem_cert(read(conf.dir .. "/swapped.test.pem"))))
      assert(ssl.set_priv_key(assert(ssl.parse_pem_priv_key(read(conf.dir .. "/ca.key")))))
    end
    if name:find("raise") then
      error("no hands")
    end
    if name:find("request") then
      kong.request.get_path()
    end
  end
  function M:access()
    local verdict = kong.request.get_query_arg("verdict")
    if verdict then
      kong.client.tls.set_client_verify(verdict)
    end
    kong.response.exit(200, { chain = kong.client.tls.get_full_client_certificate_chain() or "none",
      verify = ngx.var.ssl_client_verify, late = select(2, ssl.clear_certs()) })
  end
  return M]]

describe("a plugin in a client's handshake", function()
  local gw

  setup(function()
    certs.pair("swapped.test")
    local config = site.config("http://127.0.0.1:1", {
      more = ("plugins:\n- name: hands\n  config: {dir: %q}\n"):format(certs.dir()),
    })
    gw = gateway.start({ tls = true, config = { ["kong.yaml"] = config,
      ["plugins/hands/schema.lua"] = SCHEMA:format("hands"), ["plugins/hands/handler.lua"] = HANDLER } })
  end)

  teardown(function()
    gw:stop()
  end)

  it("knows the name, the address and the phase", function()
    assert.same("localhost", shown(gw, "plain.test"))
    assert.truthy(gw:wait_log("hello of plain.test from 127.0.0.1:%d+ in ssl_cert"))
    assert.same("localhost", shown(gw, nil))
    assert.truthy(gw:wait_log("hello of none from"))
  end)

  it("does not run for plain connections", function()
    local _, before = gw:errors():gsub("hello of", "")
    assert.status(200, client.get(gw, "/"))
    assert.same(before, (select(2, gw:errors():gsub("hello of", ""))))
  end)

  it("shows another certificate", function()
    assert.same("swapped.test", shown(gw, "swap.test"))
    assert.same("swapped.test", shown(gw, "slow20.swap.test"))
    assert.same("localhost", shown(gw, "plain.test"))
  end)

  it("waits without holding others up", function()
    local from, slow = sched.now(), nil
    local task = sched.spawn(function()
      slow = shown(gw, "slow400.test")
    end)
    assert.same("localhost", shown(gw, "plain.test"))
    assert.truthy(sched.now() - from < 0.35 * sched.slow)
    task:join()
    assert.same("localhost", slow)
    assert.truthy(sched.now() - from >= 0.4)
  end)

  it("ends with its client's patience", function()
    local c = conn.connect("127.0.0.1", gw.tls_port)
    local from = sched.now()
    local task = sched.spawn(function()
      c:start_tls({ server_name = "slow30000.test" })
    end)
    gw:wait_log("hello of slow30000.test")
    sched.stop(task)
    c:close()
    assert.truthy(gw:wait_log("connection closed during the handshake"))
    assert.truthy(sched.now() - from < 3 * sched.slow)
  end)

  it("asks for the client's certificate", function()
    local alice = certs.pair("alice.test")
    local got = over_tls(gw, { name = "ask.test", key = alice.key, certificate = alice.certificate }):json()
    assert.same(certs.text(alice.certificate):match("%-%-%-%-%-BEGIN.*$"), got.chain)
    assert.same("no TLS handshake of a client is under way here", got.late)
    assert.same({ "none", "NONE" }, (function(j) return { j.chain, j.verify } end)(over_tls(gw, { name = "ask.test" }):json()))
    assert.same("none", over_tls(gw, { name = "plain.test", key = alice.key, certificate = alice.certificate }):json().chain)
  end)

  it("has it judged, and says itself how that went", function()
    local alice = certs.pair("alice.test")
    local other = certs.make("selfsigned-client", { "mallory.test" }, { self = true })
    local function verify(pair, path)
      local response = over_tls(gw, { name = "judge.test", key = pair.key, certificate = pair.certificate, path = path })
      local id = response:header("x-kong-request-id")
      local logged = gw:wait_access(function(entry)
        return entry.request.id == id and entry
      end).request.tls.client_verify
      assert.same(response:json().verify, logged)
      return logged
    end
    assert.same("SUCCESS", verify(alice))
    assert.truthy(verify(other):find("^FAILED:self%-signed certificate"))
    assert.same("FAILED:by me", verify(alice, "/?verdict=FAILED:by%20me"))
  end)

  it("forbids that the session is taken up again", function()
    local function tickets(name, version)
      local command = "printf 'GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n' | "
        .. "timeout 10 openssl s_client -ign_eof -connect 127.0.0.1:%d -servername %s -%s 2>&1 | grep -c 'session ticket:'"
      local pipe = io.popen(command:format(gw.tls_port, name, version))
      local count = tonumber(pipe:read("*l"))
      pipe:close()
      return count
    end
    for _, version in ipairs({ "tls1_2", "tls1_3" }) do
      assert.truthy(tickets("plain.test", version) > 0, version)
      assert.same(0, tickets("once.test", version), version)
    end
  end)

  for name, why in pairs({
    ["raise.test"] = 'plugin "hands", certificate phase: .*no hands',
    ["slow10.raise.test"] = 'plugin "hands", certificate phase: .*no hands',
    ["mismatch.test"] = 'plugin "hands", certificate phase: .*private key cannot be used: key values mismatch',
    ["request.test"] = 'plugin "hands", certificate phase: .*function cannot be called in certificate phase',
  }) do
    it("refuses the handshake when it fails: " .. name, function()
      gw:expect_error('plugin "hands", certificate phase')
      local _, before = gw:errors():gsub("%[error%]", "")
      assert.is_nil(shown(gw, name))
      assert.truthy(gw:wait_log(why))
      assert.same(before + 1, (select(2, gw:errors():gsub("%[error%]", ""))))
      assert.same("localhost", shown(gw, "plain.test"))
    end)
  end
end)
