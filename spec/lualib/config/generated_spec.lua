-- What the loader makes when a credential does not say it.

local fixture = require("lualib.config.fixture")
local generated = require("moongate.config.generated")

local CONFIG = [[
consumers:
- username: a
  keyauth_credentials: [{}, {}, {key: mine}]
  jwt_secrets: [{}]
  hmacauth_credentials: [{username: u}]
  oauth2_credentials: [{name: app}]
]]

describe("fields that are generated", function()
  local function credentials()
    local document, problems = fixture.load(CONFIG)
    local out = {}
    for _, credential in ipairs(document.credentials) do
      out[credential.kind] = out[credential.kind] or {}
      table.insert(out[credential.kind], credential.data)
    end
    return out, fixture.lines(problems), document
  end

  it("are random texts of 32 letters and digits", function()
    local found, _, document = credentials()
    local oauth2 = document.entities.oauth2_credentials[1]
    local texts = { found.keyauth[1].key, found.keyauth[2].key, found.jwt[1].key, found.jwt[1].secret,
      found.hmacauth[1].secret, oauth2.client_id, oauth2.client_secret }
    local seen = {}
    assert.equal(7, #texts)
    for _, text in ipairs(texts) do
      assert.truthy(text:find("^%w+$") and #text == 32 and not seen[text], text)
      seen[text] = true
    end
    assert.equal("mine", found.keyauth[3].key)
  end)

  it("are others at each load, of an entity whose id stays", function()
    local first, second = credentials(), credentials()
    assert.not_equal(first.keyauth[1].key, second.keyauth[1].key)
    assert.not_equal(first.keyauth[1].id, first.keyauth[2].id)
    for kind, list in pairs(first) do
      for i, data in ipairs(list) do
        assert.equal(data.id, second[kind][i].id)
      end
    end
  end)

  it("are told of, for nobody can know them", function()
    local _, lines = credentials()
    assert.equal(7, #lines)
    assert.truthy(lines[1]:find("consumers[0].keyauth_credentials[0].key: not given: a random one is made at each load "
      .. "(write it down, if it is to be used)", 1, true), lines[1])
  end)

  it("are made of each character as often as of any other", function()
    local input = {}
    generated.fill({ { key = { type = "string", auto = true } } }, input, function(n)
      return ("\255"):rep(n - 2) .. "\0\247" -- 248 and more would favour some
    end)
    assert.equal(("A9"):rep(16), input.key)
  end)
end)
