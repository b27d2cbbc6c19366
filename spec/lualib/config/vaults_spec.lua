-- Vault references: parsing, and the check at load time.

local fixture = require("lualib.config.fixture")
local vaults = require("moongate.config.vaults")

local function with_reference(reference, head)
  return (head or "") .. [[

plugins:
  - name: ai-proxy
    config:
      route_type: llm/v1/chat
      model: {provider: openai}
      auth: {header_name: Authorization, header_value: "]] .. reference .. [["}
]]
end

local MY_VAULT = "vaults: [{prefix: my-env, name: env, config: {prefix: APP_}}]"

describe("vault references", function()
  it("have parts", function()
    assert.same({ vault = "env", resource = "a-b" }, vaults.parse("{vault://env/a-b}"))
    assert.same({ vault = "my", resource = "a", key = "k" }, vaults.parse("{vault://my/a/k?ttl=5}"))
    assert.is_nil(vaults.parse("{vault://env/}"))
    assert.is_nil(vaults.parse("{vault://env}"))
    assert.equal("APP_OPENAI_KEY", vaults.variable("openai-key", "app-"))
  end)

  local accepted = {
    { "{vault://env/openai-auth}", { OPENAI_AUTH = "x" } },
    { "{vault://env/creds/token}", { CREDS = '{"token":"x"}' } },
    { "{vault://my-env/openai-auth}", { APP_OPENAI_AUTH = "x" }, MY_VAULT },
    { "{vault://env/key}", { GW_KEY = "x", KONG_VAULT_ENV_PREFIX = "gw_" } },
  }
  for _, case in ipairs(accepted) do
    it("accepts " .. case[1] .. " and keeps it", function()
      local document, problems = fixture.load(with_reference(case[1], case[3]), case[2])
      assert.same({}, fixture.lines(problems))
      assert.equal(case[1], document.plugins[1].config.auth.header_value)
    end)
  end

  local refused = {
    { "{vault://env/openai-auth}", {}, "vault reference '{vault://env/openai-auth}' has no value: environment "
      .. "variable 'OPENAI_AUTH' is not set (set OPENAI_AUTH in the gateway's environment)" },
    { "{vault://my-env/key}", { KEY = "x" }, "vault reference '{vault://my-env/key}' has no value: environment "
      .. "variable 'APP_KEY' is not set (set APP_KEY in the gateway's environment)", MY_VAULT },
    { "{vault://env/creds/token}", { CREDS = "plain" }, "vault reference '{vault://env/creds/token}' has no value: "
      .. "environment variable 'CREDS' is not a JSON object with the string 'token' (correct CREDS)" },
    { "{vault://hcv/a}", {}, "invalid reference '{vault://hcv/a}' (no vault with prefix 'hcv') "
      .. "(declare it under vaults, or use the prefix env)" },
    { "{vault://env}", {}, "not a valid vault reference (write {vault://env/name-of-variable})" },
  }
  for _, case in ipairs(refused) do
    it("refuses " .. case[1] .. ": " .. case[3], function()
      local lines = fixture.problems(with_reference(case[1], case[4]), case[2])
      assert.same({ "kong.yaml:8:42: plugins[0].config.auth.header_value: " .. case[3] }, lines)
    end)
  end

  it("become values in credentials and certificates, which have no plan of their own", function()
    local certificate = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"
    local document, problems = fixture.load([[
consumers: [{username: a, keyauth_credentials: [{key: "{vault://env/api-key}"}]}]
certificates: [{cert: "{vault://env/cert}", key: "{vault://env/pair/key}"}]
]], { API_KEY = "k1", CERT = certificate, PAIR = '{"key":"pem"}' })
    assert.same({}, fixture.lines(problems))
    local credential = document.credentials[1]
    assert.same({ "k1", "k1" }, { credential.key, credential.data.key })
    assert.same({ certificate, "pem" }, { document.certificates[1].cert, document.certificates[1].key })
  end)

  it("become values within the records of an entity", function()
    local pem = "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----"
    local document, problems = fixture.load("keys: [{kid: a, pem: {private_key: '{vault://env/pem}'}}, "
      .. "{kid: b, jwk: '{vault://env/jwk}'}]", { PEM = pem, JWK = '{"kty":"oct","kid":"b"}' })
    assert.same({}, fixture.lines(problems))
    assert.equal(pem, document.entities.keys[1].pem.private_key)
    assert.equal('{"kty":"oct","kid":"b"}', document.entities.keys[2].jwk)
  end)

  describe("to files", function()
    local FILES = { ["/keys/openai"] = "sk-1\n", ["/keys/all"] = '{"token":"sk-2"}', ["/run/c"] = "sk-3" }
    local KEYS = "vaults: [{prefix: keys, name: file, config: {prefix: /keys}}]"

    local function read(path)
      return FILES[path], not FILES[path] and "No such file or directory" or nil
    end

    local function load(reference, head, env)
      return fixture.load(with_reference(reference, head), env or {}, { read_secret = read })
    end

    for _, case in ipairs({
      { "{vault://keys/openai}", KEYS, nil, { ["/keys/openai"] = "sk-1\n" } },
      { "{vault://file/openai}", KEYS, nil, { ["/keys/openai"] = "sk-1\n" } },
      { "{vault://keys/all/token}", KEYS, nil, { ["/keys/all"] = '{"token":"sk-2"}' } },
      { "{vault://file/c}", nil, { CREDENTIALS_DIRECTORY = "/run/" }, { ["/run/c"] = "sk-3" } },
    }) do
      it("accepts " .. case[1] .. " and takes the text along", function()
        local document, problems = load(case[1], case[2], case[3])
        assert.same({}, fixture.lines(problems))
        assert.same(case[4], document.secrets)
        assert.equal(case[1], document.plugins[1].config.auth.header_value)
      end)
    end

    for _, case in ipairs({
      { "{vault://keys/none}", "file '/keys/none' cannot be read: No such file or directory" },
      { "{vault://keys/../etc/shadow}", "the path has an empty, '.' or '..' segment" },
      { "{vault://keys//etc/shadow}", "not a valid vault reference" },
      { "{vault://keys/openai/x}", "file '/keys/openai' is not a JSON object with the string 'x'" },
    }) do
      it("refuses " .. case[1], function()
        local document, problems = load(case[1], KEYS)
        assert.is_nil(document)
        local line = fixture.lines(problems)[1]
        assert.is_truthy(line:find(case[2], 1, true), line)
        assert.is_nil(line:find("sk-", 1, true))
      end)
    end

    it("need a directory", function()
      local _, problems = load("{vault://file/openai}")
      assert.is_truthy(fixture.lines(problems)[1]:find("no vault with prefix 'file'", 1, true))
      _, problems = fixture.load("vaults: [{prefix: keys, name: file, config: {prefix: keys}}]")
      assert.is_truthy(fixture.lines(problems)[1]:find("needs the absolute path of its directory", 1, true))
    end)
  end)

  it("warn where they have no effect", function()
    local document, problems = fixture.load("consumers: [{username: '{vault://env/name}'}]")
    assert.is_table(document)
    assert.same({ "kong.yaml:2:14: warning: consumers[0].username: a vault reference has no effect in this field "
      .. "(the text itself is used; write the value)" }, fixture.lines(problems))
  end)
end)
