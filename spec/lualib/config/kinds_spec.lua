-- Entities that plugins declare in daos.lua: read from configuration files, validated, referred to.

local fixture = require("lualib.config.fixture")
local typedefs = require("moongate.schema.typedefs")

local TOKENS = {
  name = "tokens", primary_key = { "id" }, endpoint_key = "token", cache_key = { "token" },
  fields = {
    { id = typedefs.uuid }, { consumer = { type = "foreign", reference = "consumers", required = true } },
    { token = { type = "string", required = true, unique = true } },
    { uses = { type = "integer", default = 5, gt = 0 } },
  },
}

local function daos_of(...)
  local daos = { ... }
  return { plugin_daos = function()
    return { { plugin = "prometheus", daos = daos } }
  end }
end

local function load(text, extra)
  local document, problems = fixture.load(text, nil, extra or daos_of(TOKENS))
  return document, fixture.lines(problems)
end

describe("entities of daos.lua", function()
  it("are read, filled with defaults and linked", function()
    local document, lines = load([[
consumers:
- username: alice
  id: 8a8a8a8a-0000-4000-8000-000000000001
tokens:
- token: abc
  consumer: alice
]])
    assert.same({}, lines)
    local token = document.entities.tokens[1]
    assert.same({ "abc", 5, { id = "8a8a8a8a-0000-4000-8000-000000000001" } },
      { token.token, token.uses, token.consumer })
    assert.equal(36, #token.id)
    assert.same({ { name = "tokens", key = "token", primary_key = { "id" }, cache_key = { "token" },
      unique = { "id", "token" }, foreign = { consumer = "consumers" } } }, document.daos)
  end)

  it("stand under what they refer to", function()
    local document, lines = load([[
consumers:
- username: alice
  tokens:
  - token: abc
]])
    assert.same({}, lines)
    assert.equal(document.consumers[1].id, document.entities.tokens[1].consumer.id)
  end)

  it("are checked by their schema, with the place of each mistake", function()
    local _, lines = load([[
consumers:
- username: alice
tokens:
- consumer: alice
  uses: 0
  wrong: 1
- token: abc
  consumer: bob
]])
    assert.equal(4, #lines)
    assert.matches("^kong.yaml:5:.*tokens%[0%].token: required field missing", lines[1])
    assert.matches("^kong.yaml:6:.*tokens%[0%].uses: value must be greater than 0", lines[2])
    assert.matches("^kong.yaml:7:.*tokens%[0%].wrong: unknown field", lines[3])
    assert.matches("^kong.yaml:9:.*tokens%[1%].consumer: invalid reference 'consumer: bob'", lines[4])
  end)

  it("are unique where the schema says so", function()
    local _, lines = load("consumers:\n- username: a\ntokens:\n- {token: x, consumer: a}\n- {token: x, consumer: a}\n")
    assert.equal(1, #lines)
    assert.matches("uniqueness violation: 'tokens' entity with token set to 'x' already declared", lines[1])
  end)

  it("are an unknown field where no plugin declares them", function()
    local _, lines = load("tokens: []\n", {})
    assert.matches("tokens: unknown field", lines[1])
  end)

  it("never replace what is built in", function()
    local own = { name = "consumers", primary_key = { "id" }, fields = { { id = typedefs.uuid } } }
    local document, lines = load("consumers:\n- username: alice\n", daos_of(own))
    assert.same({}, lines)
    assert.equal("alice", document.consumers[1].username)
    assert.is_nil(document.daos)
  end)

  local faults = {
    { { fields = {} }, "daos.lua: an entity needs a 'name'" },
    { { name = "t" }, "daos.lua: t: error in schema definition: no 'fields' table" },
    { { name = "t", fields = {} }, "daos.lua: t: error in schema definition: no 'primary_key' list" },
    { { name = "t", primary_key = { "id" }, fields = { { a = { type = "text" } } } },
      "daos.lua: t.a: unknown type 'text'" },
    { { name = "t", primary_key = { "id" }, fields = { { a = { type = "foreign", reference = "nothing" } } } },
      "daos.lua: t.a refers to 'nothing', which is no entity" },
  }
  for _, case in ipairs(faults) do
    it("make their plugin unusable: " .. case[2], function()
      local _, lines = load("plugins:\n- name: prometheus\n", daos_of(case[1]))
      assert.equal(1, #lines)
      assert.matches("plugin 'prometheus' cannot be used: " .. case[2], lines[1], 1, true)
    end)
  end

  it("do not matter when they are broken and their plugin is not used", function()
    local document = load("consumers:\n- username: alice\n", daos_of({ name = "t" }))
    assert.is_table(document)
  end)
end)

describe("entities that only Lua reads", function()
  it("stand in the document with ids and references", function()
    local document, lines = load([[
consumers:
- username: alice
  acls: [{group: dev}]
  oauth2_credentials: [{name: app, client_id: c1, client_secret: s}]
  mtls_auth_credentials: [{subject_name: "CN=alice"}]
key_sets:
- name: main
  keys:
  - name: k1
    kid: "1"
    jwk: '{"kty":"oct","k":"AAAA"}'
]], {})
    assert.same({}, lines)
    local consumer = { id = document.consumers[1].id }
    local entities = document.entities
    assert.same({ "dev", consumer }, { entities.acls[1].group, entities.acls[1].consumer })
    assert.same({ "c1", "confidential", consumer }, { entities.oauth2_credentials[1].client_id,
      entities.oauth2_credentials[1].client_type, entities.oauth2_credentials[1].consumer })
    assert.same(consumer, entities.mtls_auth_credentials[1].consumer)
    assert.same({ id = entities.key_sets[1].id }, entities.keys[1].set)
  end)

  it("a key needs one of jwk and pem", function()
    local _, lines = load("keys:\n- {name: k, kid: '1'}\n", {})
    assert.matches("at least one of these fields must be non-empty: 'jwk', 'pem'", lines[1], 1, true)
  end)
end)
