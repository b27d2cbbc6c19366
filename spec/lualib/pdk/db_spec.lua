-- kong.db: the entities of the configuration under Kong's DAO names.

local failure = require("lualib.pdk.failure")
local fake_abi = require("lualib.pdk.fake_abi")

local kong, fake = fake_abi.install()
local db = kong.db

local ALICE = { id = "8a8a8a8a-0000-4000-8000-000000000001", username = "alice", custom_id = "A-1" }
local BOB = { id = "8a8a8a8a-0000-4000-8000-000000000002", username = "bob" }
local KEY = { id = "k1", key = "secret", consumer = { id = ALICE.id } }
local OTHER_KEY = { id = "k2", key = "second", consumer = { id = BOB.id } }
local BASIC = { id = "b1", username = "alice", password = "x", consumer = { id = ALICE.id } }

before_each(function()
  fake:reset({
    consumers = { ALICE, BOB }, credentials = { KEY, BASIC, OTHER_KEY },
    credential_kinds = { "keyauth", "basicauth", "keyauth" },
    services = { { id = "s1", name = "one" }, { id = "s2", name = "two" }, { id = "s3" } },
    routes = { { id = "r1", service = { id = "s1" } }, { id = "r2", service = { id = "s2" } },
      { id = "r3", service = { id = "s1" } } },
    upstreams = { { id = "u1", name = "up", targets = {
      { id = "t1", target = "a:80", host = "a", port = 80, weight = 5 },
      { id = "t2", target = "b:81", host = "b", port = 81, weight = 5 } } } },
    plugins = { { id = "p1", name = "acl", route = { id = "r1" } }, { id = "p2", name = "cors" } },
    lists = {
      acls = { { id = "a1", group = "dev", consumer = { id = ALICE.id } },
        { id = "a2", group = "ops", consumer = { id = ALICE.id } } },
      vaults = { { id = "v1", prefix = "my", name = "env" } },
      key_sets = { { id = "ks", name = "set" } },
      keys = { { id = "ky", name = "k", kid = "1", set = { id = "ks" } } },
      snis = { { id = "n1", name = "a.test", certificate = { id = "c1" } } },
      certificates = { { id = "c1", cert = "PEM" } },
      daos = { { name = "tokens", key = "token", primary_key = { "id" }, cache_key = { "token" },
        unique = { "id", "token" }, foreign = { consumer = "consumers" } } },
      tokens = { { id = "x1", token = "abc", consumer = { id = BOB.id } } },
    },
  })
end)

local function ids(iterator)
  local out = {}
  for entity, err in iterator do
    assert.is_nil(err)
    out[#out + 1] = entity.id or entity.group
  end
  return out
end

describe("kong.db: select", function()
  it("finds by primary key", function()
    assert.equal(ALICE, db.consumers:select({ id = ALICE.id }))
    assert.equal(KEY, db.keyauth_credentials:select({ id = "k1" }))
    assert.is_nil(db.basicauth_credentials:select({ id = "k1" }))
    assert.same("s2", db.services:select({ id = "s2" }).id)
    assert.same("acl", db.plugins:select({ id = "p1" }).name)
    assert.same("my", db.vaults:select({ id = "v1" }).prefix)
    assert.is_nil(db.vaults:select({ id = "v2" }))
    assert.is_true(db.routes:exists({ id = "r1" }) == (db.routes:select({ id = "r1" }) ~= nil))
  end)

  it("finds by what is unique", function()
    assert.equal(ALICE, db.consumers:select_by_username("alice"))
    assert.equal(ALICE, db.consumers:select_by_custom_id("A-1"))
    assert.is_nil(db.consumers:select_by_username(ALICE.id))
    assert.equal(KEY, db.keyauth_credentials:select_by_key("secret"))
    assert.is_nil(db.jwt_secrets:select_by_key("secret"))
    assert.equal(BASIC, db.basicauth_credentials:select_by_username("alice"))
    assert.same("s2", db.services:select_by_name("two").id)
    assert.is_nil(db.services:select_by_name("s2"))
    assert.same("v1", db.vaults:select_by_prefix("my").id)
    assert.same("n1", db.snis:select_by_name("a.test").id)
  end)

  it("refuses keys of another kind", function()
    assert.same({ "primary_key must be a table with an id", true }, { failure(db.consumers.select, db.consumers, {}) })
    assert.same({ "username must be a string", true },
      { failure(db.consumers.select_by_username, db.consumers, 7) })
    assert.same({ "consumer must be a table with an id", true },
      { failure(db.acls.each_for_consumer, db.acls, {}) })
  end)
end)

describe("kong.db: each and page", function()
  it("walks every kind", function()
    assert.same({ "s1", "s2", "s3" }, ids(db.services:each()))
    assert.same({ "k1", "k2" }, ids(db.keyauth_credentials:each()))
    assert.same({ "t1", "t2" }, ids(db.targets:each()))
    assert.same({ "c1" }, ids(db.certificates:each()))
    assert.same({}, ids(db.oauth2_credentials:each()))
  end)

  it("walks what belongs to another entity", function()
    assert.same({ "r1", "r3" }, ids(db.routes:each_for_service({ id = "s1" })))
    assert.same({ "a1", "a2" }, ids(db.acls:each_for_consumer({ id = ALICE.id })))
    assert.same({}, ids(db.acls:each_for_consumer({ id = BOB.id })))
    assert.same({ "k2" }, ids(db.keyauth_credentials:each_for_consumer({ id = BOB.id })))
    assert.same({ "p1" }, ids(db.plugins:each_for_route({ id = "r1" })))
    assert.same({ "t1", "t2" }, ids(db.targets:each_for_upstream({ id = "u1" })))
    assert.same({ "ky" }, ids(db.keys:each_for_set({ id = "ks" })))
    assert.same({ "n1" }, ids(db.snis:each_for_certificate({ id = "c1" })))
  end)

  it("pages, with an offset while there is more", function()
    local page, _, _, offset = db.services:page(2)
    assert.same({ "s1", "s2" }, { page[1].id, page[2].id })
    page, _, _, offset = db.services:page(2, offset)
    assert.same("s3", page[1].id)
    assert.is_nil(offset)
    page, _, _, offset = db.acls:page_for_consumer({ id = ALICE.id }, 1)
    assert.same("dev", page[1].group)
    page, _, _, offset = db.acls:page_for_consumer({ id = ALICE.id }, 1, offset)
    assert.same({ "ops" }, { page[1].group, offset })
  end)

  it("refuses sizes and offsets that are none", function()
    local none, err, err_t = db.services:page(0)
    assert.is_nil(none)
    assert.same({ "size must be an integer between 1 and 1000", 9 }, { err, err_t.code })
    none, err, err_t = db.services:page(10, "x")
    assert.is_nil(none)
    assert.same({ "'x' is not a valid offset", 7 }, { err, err_t.code })
  end)
end)

describe("kong.db: targets", function()
  it("have their upstream and text", function()
    assert.same({ id = "t1", target = "a:80", weight = 5, upstream = { id = "u1" } }, db.targets:select({ id = "t1" }))
  end)
end)

describe("kong.db: plugins' own entities", function()
  it("are read by the name that daos.lua gives", function()
    assert.same("x1", db.tokens:select({ id = "x1" }).id)
    assert.same("x1", db.tokens:select_by_token("abc").id)
    assert.same({ "x1" }, ids(db.tokens:each_for_consumer({ id = BOB.id })))
    assert.same("tokens:abc:::::default", db.tokens:cache_key(db.tokens:select({ id = "x1" })))
    assert.equal(db.tokens, db.daos.tokens)
  end)

  it("are unknown when no plugin declares them", function()
    assert.is_nil(db.nothing)
    fake.lists.daos, fake.memos = {}, {}
    assert.is_nil(db.tokens)
  end)
end)

describe("kong.db: cache keys", function()
  it("names entities for caches", function()
    assert.same("consumers:x:::::default", db.consumers:cache_key("x"))
    assert.same("consumers:" .. ALICE.id .. ":::::default", db.consumers:cache_key(ALICE))
    assert.same("plugins:acl:r1::::default", db.plugins:cache_key("acl", "r1"))
    assert.same("plugins:acl:r1::::default", db.plugins:cache_key(fake.plugins[1]))
    assert.same("keyauth_credentials:secret:::::default", db.keyauth_credentials:cache_key(KEY))
    assert.same("acls:" .. ALICE.id .. ":dev::::default", db.acls:cache_key(fake.lists.acls[1]))
  end)

  it("finds an entity by its cache key", function()
    assert.equal(KEY, db.keyauth_credentials:select_by_cache_key("keyauth_credentials:secret:::::default"))
    assert.is_nil(db.keyauth_credentials:select_by_cache_key("keyauth_credentials:none:::::default"))
  end)
end)

describe("kong.db: writes", function()
  local cases = {
    { "insert", "cannot create 'consumers' entities when not using a database" },
    { "update", "cannot update 'consumers' entities when not using a database" },
    { "upsert", "cannot create or update 'consumers' entities when not using a database" },
    { "delete", "cannot remove 'consumers' entities when not using a database" },
    { "update_by_username", "cannot update 'consumers' entities by 'username' when not using a database" },
    { "delete_by_username", "cannot remove 'consumers' entities by 'username' when not using a database" },
  }
  for _, case in ipairs(cases) do
    it(case[1] .. " is refused as Kong does without a database", function()
      local ok, err, err_t = db.consumers[case[1]](db.consumers, { id = ALICE.id }, {})
      assert.is_nil(ok)
      assert.same(case[2], err)
      assert.same({ code = 12, name = "operation unsupported", message = case[2] }, err_t)
    end)
  end
end)
