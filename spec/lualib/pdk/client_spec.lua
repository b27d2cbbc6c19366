-- kong.client: who the request is from.

local failure = require("lualib.pdk.failure")
local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()
local client = kong.client

local ALICE = { id = "8a8a8a8a-0000-4000-8000-000000000001", username = "alice", custom_id = "A-1", groups = { "dev", "ops" } }
local BOB = { id = "8a8a8a8a-0000-4000-8000-000000000002", username = "bob" }
local KEY = { id = "k1", key = "secret", consumer = { id = ALICE.id } }
local BASIC = { id = "b1", username = "alice", password = "x", consumer = { id = ALICE.id } }

before_each(function()
  fake:reset({
    consumers = { ALICE, BOB }, credentials = { KEY, BASIC }, credential_kinds = { "keyauth", "basicauth" },
    services = { { id = "s1", name = "one" }, { id = "s2", name = "two" }, { id = "s3" } },
  })
end)

describe("kong.client", function()
  it("tells the peer from the client", function()
    assert.same({ "2.2.2.2", 22, "1.1.1.1", 11 }, {
      client.get_ip(), client.get_port(), client.get_forwarded_ip(), client.get_forwarded_port(),
    })
  end)

  it("loads consumers by id, by name only when asked", function()
    assert.equal(ALICE, client.load_consumer(ALICE.id))
    assert.is_nil(client.load_consumer("alice"))
    assert.equal(ALICE, client.load_consumer("alice", true))
    assert.is_nil(client.load_consumer("nobody", true))
    assert.same("consumer_id must be a string", (failure(client.load_consumer, nil)))
  end)

  it("authenticates with what is in the configuration", function()
    client.authenticate(ALICE, KEY)
    assert.same(0, fake.consumer_index)
    assert.same(0, fake.credential_index)
    assert.equal(ALICE, client.get_consumer())
    assert.equal(KEY, client.get_credential())
    client.authenticate(BOB, BASIC)
    assert.equal(BOB, client.get_consumer())
    assert.equal(BASIC, client.get_credential())
  end)

  it("authenticates with a plugin's own identities", function()
    local consumer, credential = { username = "ldap" }, { id = "dn" }
    client.authenticate(consumer, credential)
    assert.is_nil(fake.consumer_index)
    assert.equal(consumer, client.get_consumer())
    assert.equal(credential, client.get_credential())
    client.authenticate(nil, KEY)
    assert.is_nil(client.get_consumer())
    assert.equal(KEY, client.get_credential())
  end)

  it("knows a credential that came out of a cache as a copy", function()
    client.authenticate(ALICE, { id = "k1", key = "secret", consumer = { id = ALICE.id } })
    assert.same(0, fake.credential_index)
    assert.equal(KEY, client.get_credential())
  end)

  it("does not take a credential of an older configuration for another one", function()
    client.authenticate(ALICE, KEY)
    local other = { id = "k2", key = "other" }
    fake.credentials = { other }
    fake.credential_kinds = { "keyauth" }
    client.authenticate(ALICE, KEY)
    assert.is_nil(fake.credential_index)
    assert.equal(KEY, client.get_credential())
  end)

  it("forgets who it was", function()
    for _, who in ipairs({ ALICE, { username = "ldap" } }) do
      client.authenticate(who, {})
      client.clear()
      assert.is_nil(client.get_consumer())
      assert.is_nil(client.get_credential())
    end
  end)

  it("has nobody before", function()
    assert.is_nil(client.get_consumer())
    assert.is_nil(client.get_credential())
    assert.same("either credential or consumer must be provided", (failure(client.authenticate)))
    fake:phase("log")
    assert.same("function cannot be called in log phase (only in: access): kong.client.authenticate",
      (failure(client.authenticate, ALICE)))
  end)

  it("knows the protocol", function()
    local protocol, err = client.get_protocol()
    assert.is_nil(protocol)
    assert.same("No active route found", err)
    fake.route, fake.trusted, fake.forwarded_proto = { id = "r" }, true, "https"
    assert.same("http", client.get_protocol())
    assert.same("https", client.get_protocol(true))
  end)
end)
