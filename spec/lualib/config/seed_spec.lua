-- The published kong-ai.yaml and a fuller file of the same kind load as they are.

local fixture = require("lualib.config.fixture")
local json = require("moongate.util.json_encode")

local SEED = [[
# kong-ai.yaml
_format_version: "3.0"
services:
  - name: openai-service
    url: https://api.openai.com
    routes:
      - name: openai-chat-route
        paths:
          - /ai/chat
        plugins:
          - name: ai-proxy
            config:
              route_type: llm/v1/chat
              auth:
                header_name: Authorization
                header_value: "Bearer $OPENAI_API_KEY"
              model:
                provider: openai
                name: gpt-4o
                options:
                  max_tokens: 512
]]

local FULL = [[
_format_version: "3.0"
_info:
  select_tags: [ai-gateway]
services:
  - name: openai-service
    url: https://api.openai.com
    routes:
      - name: openai-chat-route
        paths: ["/ai/chat"]
        methods: [POST]
        protocols: [http, https]
        plugins:
          - name: ai-proxy
            config:
              route_type: llm/v1/chat
              auth:
                header_name: Authorization
                header_value: "{vault://env/openai-auth}"   # env OPENAI_AUTH="Bearer sk-..."
              model:
                provider: openai
                name: gpt-4o
                options: {max_tokens: 512}
              logging: {log_statistics: true, log_payloads: false}
          - name: key-auth
            config: {key_names: [apikey]}
          - name: rate-limiting
            config: {minute: 60, policy: local, limit_by: consumer}
consumers:
  - username: alice
    keyauth_credentials:
      - key: alice-secret
plugins:
  - name: prometheus
    config: {ai_metrics: true, latency_metrics: true}
]]

describe("the seed file", function()
  it("loads with the one warning about shell notation", function()
    local document, problems = fixture.load(SEED, { OPENAI_API_KEY = "sk-1" })
    assert.same({
      "kong.yaml:16:17: warning: services[0].routes[0].plugins[0].config.auth.header_value: "
        .. "'$OPENAI_API_KEY' is replaced from the environment, which Kong and decK do not do "
        .. '(portable: ${{ env "DECK_OPENAI_API_KEY" }}, or {vault://env/openai-api-key} '
        .. "for the whole value)",
    }, fixture.lines(problems))
    assert.equal("Bearer sk-1", document.plugins[1].config.auth.header_value)
  end)

  it("becomes a complete document", function()
    local document = fixture.load(SEED, { OPENAI_API_KEY = "sk-1" })
    local service, route, plugin = document.services[1], document.routes[1], document.plugins[1]
    assert.same({ "https", "api.openai.com", 443, nil, 5, 60000 }, {
      service.protocol, service.host, service.port, service.path, service.retries, service.read_timeout })
    assert.same({ 1, { "http", "https" }, { "/ai/chat" }, true, 426 }, {
      route.service, route.protocols, route.paths, route.strip_path, route.https_redirect_status_code })
    assert.same({ 1, json.null, json.null, true }, {
      plugin.route, plugin.service, plugin.consumer, plugin.enabled })
    assert.equal(512, plugin.config.model.options.max_tokens)
    assert.is_false(plugin.config.logging.log_payloads)
  end)

  it("warns of a variable that is not set, and leaves the text as Kong would", function()
    local document, problems = fixture.load(SEED, {})
    local config = document.plugins[1].config
    assert.equal("Bearer $OPENAI_API_KEY", config.auth.header_value)
    assert.same({ "kong.yaml:16:17: warning: services[0].routes[0].plugins[0].config.auth."
      .. "header_value: environment variable 'OPENAI_API_KEY' is not set: '$OPENAI_API_KEY' is sent "
      .. "as it is written, as Kong does (set OPENAI_API_KEY in the gateway's environment, or the "
      .. "provider will refuse the key)" }, fixture.lines(problems))
  end)

  it("gives the same bytes every time", function()
    local first = json(fixture.load(SEED, { OPENAI_API_KEY = "sk-1" }))
    assert.equal(first, json(fixture.load(SEED, { OPENAI_API_KEY = "sk-1" })))
  end)

  it("never raises, wherever the file is cut", function()
    for last = 0, #SEED do
      local _, problems = fixture.load_files({ { file = "cut.yaml", text = SEED:sub(1, last) } },
        { OPENAI_API_KEY = "sk-1" })
      assert.is_table(problems)
    end
  end)
end)

describe("the fuller file", function()
  it("loads without a word", function()
    local document, problems = fixture.load(FULL, { OPENAI_AUTH = "Bearer sk-1" })
    assert.same({}, fixture.lines(problems))
    assert.equal(4, #document.plugins)
    assert.equal("{vault://env/openai-auth}", document.plugins[1].config.auth.header_value)
    assert.same({ "ai-gateway" }, document.routes[1].tags)
  end)

  it("links the credential to its consumer", function()
    local document = fixture.load(FULL, { OPENAI_AUTH = "Bearer sk-1" })
    local credential = document.credentials[1]
    assert.same({ "keyauth", "alice-secret", 1, "alice-secret" }, {
      credential.kind, credential.key, credential.consumer, credential.data.key })
    assert.equal("alice", document.consumers[1].username)
  end)

  it("needs the variable behind the vault reference", function()
    local document, problems = fixture.load(FULL, {})
    assert.is_nil(document)
    assert.same({ "kong.yaml:18:17: services[0].routes[0].plugins[0].config.auth.header_value: "
      .. "vault reference '{vault://env/openai-auth}' has no value: environment variable "
      .. "'OPENAI_AUTH' is not set (set OPENAI_AUTH in the gateway's environment)" },
      fixture.lines(problems))
  end)
end)
