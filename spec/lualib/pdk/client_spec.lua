-- kong.client and kong.db: who the request is from, and the entities to look it up in.

local failure = require("lualib.pdk.failure")
local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()
local client, db = kong.client, kong.db

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
    assert.same("function cannot be called in log phase (only in: access)", (failure(client.authenticate, ALICE)))
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

describe("kong.db", function()
  it("selects by what is unique", function()
    assert.equal(ALICE, db.consumers:select({ id = ALICE.id }))
    assert.equal(ALICE, db.consumers:select_by_username("alice"))
    assert.equal(ALICE, db.consumers:select_by_custom_id("A-1"))
    assert.is_nil(db.consumers:select_by_username(ALICE.id))
    assert.equal(KEY, db.keyauth_credentials:select_by_key("secret"))
    assert.equal(KEY, db.keyauth_credentials:select({ id = "k1" }))
    assert.is_nil(db.jwt_secrets:select_by_key("secret"))
    assert.equal(BASIC, db.basicauth_credentials:select_by_username("alice"))
    assert.same("s2", db.services:select_by_name("two").id)
    assert.is_nil(db.services:select_by_name("s2"))
    assert.same("s2", db.services:select({ id = "s2" }).id)
  end)

  it("walks and pages", function()
    local ids = {}
    for service, err in db.services:each() do
      assert.is_nil(err)
      ids[#ids + 1] = service.id
    end
    assert.same({ "s1", "s2", "s3" }, ids)
    local page, _, _, offset = db.services:page(2)
    assert.same({ "s1", "s2" }, { page[1].id, page[2].id })
    page, _, _, offset = db.services:page(2, offset)
    assert.same("s3", page[1].id)
    assert.is_nil(offset)
    local none, err = db.services:page(0)
    assert.is_nil(none)
    assert.same("size must be an integer between 1 and 1000", err)
  end)

  it("gives a consumer's groups", function()
    local groups = {}
    for row in db.acls:each_for_consumer({ id = ALICE.id }) do
      groups[#groups + 1] = row.group
    end
    assert.same({ "dev", "ops" }, groups)
    assert.same({}, (db.acls:page_for_consumer({ id = BOB.id })))
  end)

  it("names entities for caches", function()
    assert.same("consumers:x:::::default", db.consumers:cache_key("x"))
    assert.same("consumers:" .. ALICE.id .. ":::::default", db.consumers:cache_key(ALICE))
    assert.same("plugins:acl:r1::::default", db.plugins:cache_key("acl", "r1"))
    assert.same("keyauth_credentials:secret:::::default", db.keyauth_credentials:cache_key(KEY))
  end)

  it("writes nothing", function()
    local ok, err = db.consumers:insert({ username = "x" })
    assert.is_nil(ok)
    assert.same("operation unsupported: the configuration is read only (change its files)", err)
    assert.same("primary_key must be a table with an id", (failure(db.consumers.select, db.consumers, {})))
  end)
end)
