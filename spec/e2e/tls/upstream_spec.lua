-- TLS towards upstreams: whom it trusts, what it shows, what it says when that fails, and that connections of different identities
-- are never mixed.

require("e2e.support.expect")
local certs = require("e2e.support.certs")
local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
local sched = require("e2e.support.sched")
local upstream = require("e2e.support.upstream")

-- Answers with the subject of the client's certificate and the number of the connection.
local function who(_, c)
  local cert = c.sock:getpeercertificate()
  return { headers = { ["X-Conn"] = c.index }, body = cert and cert:subject()[1].value or "nobody" }
end

local function server(pair, opts)
  opts = opts or {}
  return upstream.start({
    answer = who,
    tls = { key = pair.key, certificate = opts.chain or pair.certificate, verify = opts.verify or "none", cafile = certs.ca() },
  })
end

-- One service at /NAME for each: an Upstream of one target, so that the name is the same everywhere.
local function site(rows, more)
  local lines = { '_format_version: "3.0"', more or "", "upstreams:" }
  for _, row in ipairs(rows) do
    table.insert(lines, ("- {name: u-%s, host_header: upstream.test, %stargets: [{target: '127.0.0.1:%d'}]}"):format(
      row.name, row.upstream or "", row.up.port))
  end
  table.insert(lines, "services:")
  for _, row in ipairs(rows) do
    table.insert(lines, ("- {name: %s, host: u-%s, protocol: https, port: 443, retries: 0, %s\n"
      .. "   routes: [{paths: [/%s]}]}"):format(row.name, row.name, row.service or "", row.name))
  end
  return table.concat(lines, "\n") .. "\n"
end

local function certificate(id, pair)
  return ("- id: %s\n  cert: %s\n  key: %s\n"):format(id, certs.text(pair.certificate, 4), certs.text(pair.key, 4))
end

describe("TLS to an upstream", function()
  local running

  local function start(opts)
    opts.settings = opts.settings or { ca_file = certs.ca() }
    local gw = gateway.start(opts)
    table.insert(running, gw)
    return gw
  end

  local function serve(pair, opts)
    local up = server(pair, opts)
    table.insert(running, up)
    return up
  end

  before_each(function()
    running = {}
  end)

  after_each(function()
    for _, one in ipairs(running) do
      one:stop()
    end
  end)

  it("that cannot be trusted is a 502, and the log says why", function()
    local other = certs.make("other-ca", { "Other CA" }, { self = true, authority = true })
    local rows = {
      { name = "good", up = serve(certs.pair("upstream.test")) },
      { name = "expired", up = serve(certs.make("expired", { "upstream.test" }, { expired = true })),
        why = "certificate has expired" },
      { name = "misnamed", up = serve(certs.pair("other.test")), why = "hostname mismatch" },
      { name = "unknown", up = serve(certs.make("unknown", { "upstream.test" }, { signer = other })),
        why = "unable to get local issuer certificate" },
      { name = "selfsigned", up = serve(certs.make("selfsigned", { "upstream.test" }, { self = true })),
        why = "self%-signed certificate" },
    }
    local gw = start({ config = site(rows) })
    gw:expect_error("certificate")
    gw:expect_error("hostname mismatch")
    assert.status(200, client.get(gw, "/good"))
    for i = 2, #rows do
      local response = client.get(gw, "/" .. rows[i].name)
      assert.status(502, response)
      assert.same("An invalid response was received from the upstream server", response:json().message)
      assert.truthy(gw:wait_log("upstream 127.0.0.1:" .. rows[i].up.port .. ": .*" .. rows[i].why))
      assert.same(0, #rows[i].up.requests)
    end
  end)

  it("is checked as a service's tls_verify, ca_certificates and tls_verify_depth say", function()
    local other = certs.make("other-ca", { "Other CA" }, { self = true, authority = true })
    local middle = certs.make("middle-ca", { "Middle CA" }, { authority = true })
    local leaf = certs.make("leaf", { "upstream.test" }, { signer = middle })
    local foreign = serve(certs.make("unknown", { "upstream.test" }, { signer = other }))
    local chained = serve(leaf, { chain = certs.join("chain.pem", leaf.certificate, middle.certificate) })
    local known = serve(certs.pair("upstream.test"))
    local trust = "ca_certificates: [11111111-1111-4111-8111-111111111111],"
    local gw = start({
      config = site({
        { name = "strict", up = foreign },
        { name = "loose", up = foreign, service = "tls_verify: false," },
        { name = "own", up = foreign, service = trust },
        { name = "notours", up = known, service = trust },
        { name = "deep", up = chained },
        { name = "depth1", up = chained, service = "tls_verify_depth: 1," },
        { name = "depth0", up = chained, service = "tls_verify_depth: 0," },
      }, "ca_certificates:\n- id: 11111111-1111-4111-8111-111111111111\n  cert: " .. certs.text(other.certificate, 4)),
    })
    gw:expect_error("certificate")
    local got = {}
    for _, name in ipairs({ "strict", "loose", "own", "notours", "deep", "depth1", "depth0" }) do
      got[name] = client.get(gw, "/" .. name).status
    end
    assert.same({ strict = 502, loose = 200, own = 200, notours = 502, deep = 200, depth1 = 200, depth0 = 502 }, got)
    assert.truthy(gw:wait_log("certificate chain too long"))
  end)

  it("goes by the name in Host, without its port", function()
    local up = serve(certs.pair("upstream.test"))
    local function service(name, host, route)
      return ("- {name: %s, host: %s, port: %d, protocol: https, retries: 0,\n   routes: [{paths: [/%s]%s}]}\n"):format(
        name, host, up.port, name, route or "")
    end
    local gw = start({ config = '_format_version: "3.0"\nupstreams:\n'
      .. ("- {name: pool, host_header: 'upstream.test:8443', targets: [{target: '127.0.0.1:%d'}]}\n"):format(up.port)
      .. "services:\n" .. service("ported", "pool") .. service("kept", "127.0.0.1", ", preserve_host: true")
      .. service("own", "127.0.0.1") })
    gw:expect_error("mismatch")
    assert.status(200, client.get(gw, "/ported"))
    assert.status(200, client.get(gw, "/kept", { Host = "upstream.test" }))
    assert.status(200, client.get(gw, "/kept", { Host = "upstream.test:81" }))
    assert.status(502, client.get(gw, "/kept", { Host = "other.test" }))
    assert.status(502, client.get(gw, "/own", { Host = "upstream.test" }))
  end)

  it("keeps no more idle connections for an address, whatever names clients choose", function()
    local up = serve(certs.pair("upstream.test"))
    local gw = start({ config = ('_format_version: "3.0"\nservices:\n- {name: a, url: "https://127.0.0.1:%d", tls_verify: false,\n'
      .. "   routes: [{paths: [/], preserve_host: true}]}\n"):format(up.port),
      settings = { ca_file = certs.ca(), upstream_keepalive_pool = "3" } })
    local seen = {}
    for i = 1, 8 do
      seen[i] = client.get(gw, "/", { Host = "n" .. i .. ".test" }):header("x-conn")
    end
    assert.equal(seen[8], client.get(gw, "/", { Host = "n8.test" }):header("x-conn"))
    assert.equal(seen[6], client.get(gw, "/", { Host = "n6.test" }):header("x-conn"))
    sched.wait_until(function()
      return up:open_connections() == 3
    end)
  end)

  it("shows the certificate of the service, or of its Upstream, and mixes no connections", function()
    local up = serve(certs.pair("upstream.test"), { verify = { "peer" } })
    local gw = start({
      config = site({
        { name = "none", up = up },
        { name = "alice", up = up, service = "client_certificate: {id: 22222222-2222-4222-8222-222222222222}," },
        { name = "bob", up = up, upstream = "client_certificate: {id: 33333333-3333-4333-8333-333333333333}, " },
      }, "certificates:\n" .. certificate("22222222-2222-4222-8222-222222222222", certs.pair("alice.test"))
        .. certificate("33333333-3333-4333-8333-333333333333", certs.pair("bob.test"))),
    })
    local conns = {}
    for round = 1, 2 do
      for name, subject in pairs({ none = "nobody", alice = "alice.test", bob = "bob.test" }) do
        local response = client.get(gw, "/" .. name)
        assert.same(subject, response.body)
        conns[name] = conns[name] or response.headers["x-conn"]
        assert.same(conns[name], response.headers["x-conn"], "round " .. round)
      end
    end
    assert.same(3, #up.connections)
  end)

  it("is 502 where the upstream wants a certificate and gets none", function()
    local up = serve(certs.pair("upstream.test"), { verify = { "peer", "fail_if_no_peer_cert" } })
    local gw = start({ config = site({ { name = "none", up = up } }) })
    gw:expect_error("upstream 127.0.0.1")
    assert.status(502, client.get(gw, "/none"))
    assert.same(0, #up.requests)
  end)

  it("is what a plugin sets for a request", function()
    local other = certs.make("other-ca", { "Other CA" }, { self = true, authority = true })
    local up = serve(certs.make("unknown", { "upstream.test" }, { signer = other }), { verify = { "peer" } })
    local alice, bob = certs.pair("alice.test"), certs.pair("bob.test")
    local gw = start({
      settings = { ca_file = certs.ca(), trusted_plugins = "dress" },
      config = {
        ["kong.yaml"] = site({ { name = "app", up = up } },
          ("plugins:\n- name: dress\n  config: {alice: %q, bob: %q, ca: %q}\n"):format(
            alice.certificate:match("^(.*)%.pem$"), bob.certificate:match("^(.*)%.pem$"), other.certificate)),
        ["plugins/dress/schema.lua"] = [[
          local text = { type = "string" }
          return { name = "dress", fields = { { config = { type = "record", fields = {
            { alice = text }, { bob = text }, { ca = text } } } } } }]],
        ["plugins/dress/handler.lua"] = [[
          local ssl = require("ngx.ssl")
          local ffi = require("ffi")
          ffi.cdef("struct x509_store_st *X509_STORE_new(void); void X509_STORE_free(struct x509_store_st *s); "
            .. "int X509_STORE_load_locations(struct x509_store_st *s, const char *file, const char *dir);")
          local made = {}
          local function read(path)
            local file = assert(io.open(path))
            local text = file:read("*a")
            file:close()
            return text
          end
          local function pair(stem)
            made[stem] = made[stem] or { assert(ssl.parse_pem_cert(read(stem .. ".pem"))),
              assert(ssl.parse_pem_priv_key(read(stem .. ".key"))) }
            return unpack(made[stem])
          end
          local store
          return { PRIORITY = 10, VERSION = "1.0.0", access = function(_, conf)
            local wanted = kong.request.get_query_arg("as")
            if kong.request.get_query_arg("trust") then
              if not store then
                store = ffi.gc(ffi.C.X509_STORE_new(), ffi.C.X509_STORE_free)
                assert(ffi.C.X509_STORE_load_locations(store, conf.ca, nil) == 1)
              end
              assert(kong.service.set_tls_verify_store(store))
            end
            kong.service.set_tls_verify(kong.request.get_query_arg("verify") == "on")
            if wanted == "mixed" then
              local chain = pair(conf.alice)
              local _, key = pair(conf.bob)
              return kong.response.exit(200, { select(2, kong.service.set_tls_cert_key(chain, key)) })
            elseif wanted then
              assert(kong.service.set_tls_cert_key(pair(conf[wanted])))
            end
          end }]],
      },
    })
    gw:expect_error("certificate")
    local function ask(query)
      local response = client.get(gw, "/app?" .. query)
      return response.status == 200 and response.body or response.status, response
    end
    assert.same("nobody", ask("verify=off"))
    for _ = 1, 2 do
      assert.same("alice.test", ask("as=alice"))
      assert.same("bob.test", ask("as=bob"))
    end
    assert.same(3, #up.connections)
    assert.same(502, ask("as=alice&verify=on"))
    assert.same("alice.test", ask("as=alice&verify=on&trust=1"))
    assert.same("alice.test", ask("as=alice&verify=on&trust=1"))
    assert.same(502, ask("as=alice&verify=on"))
    local _, mixed = ask("as=mixed")
    assert.truthy(mixed.body:find("private key does not belong to the certificate", 1, true), mixed.body)
  end)

  it("uses another certificate after a reload", function()
    local up = serve(certs.pair("upstream.test"), { verify = { "peer" } })
    local function config(pair)
      return site({ { name = "app", up = up, service = "client_certificate: {id: 22222222-2222-4222-8222-222222222222}," } },
        "certificates:\n" .. certificate("22222222-2222-4222-8222-222222222222", pair))
    end
    local gw = start({ config = config(certs.pair("alice.test")) })
    assert.same("alice.test", client.get(gw, "/app").body)
    gw:reload({ ["kong.yaml"] = config(certs.pair("bob.test")) })
    sched.wait_until(function()
      return client.get(gw, "/app").body == "bob.test"
    end)
  end)
end)
