local traffic = require "plugins.fake_traffic"

local JSON = { ["Content-Type"] = "application/json" }

describe("request-validator", function()
  local plugin = traffic.new("request-validator")

  local function conf(more)
    local out = { version = "draft4", allowed_content_types = { "application/json" }, verbose_response = true,
      content_type_parameter_validation = true }
    for name, value in pairs(more) do
      out[name] = value
    end
    return out
  end

  -- nil, or status and body of the refusal.
  local function ask(config, spec)
    local answer = plugin:access(conf(config), spec)
    return answer and { answer.status, answer.body or answer.message }
  end

  local BODY = { body_schema = '{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}' }

  it("checks bodies by JSON schema", function()
    assert.is_nil(ask(BODY, { headers = JSON, body = '{"name":"x"}' }))
    assert.is_nil(ask(BODY, { body = '{"name":"x"}' }))
    assert.same({ 400, [[{"message":"property 'name' is required"}]] }, ask(BODY, { headers = JSON, body = "{}" }))
    assert.same({ 400, '{"message":"request body is not valid JSON"}' }, ask(BODY, { headers = JSON, body = "{" }))
    assert.same(400, ask(BODY, { headers = JSON, body = "" })[1])
  end)

  it("checks bodies by Kong's schema", function()
    local kong_schema = { version = "kong", body_schema = '[{"name":{"type":"string","required":true}},{"n":{"type":"integer"}}]' }
    assert.is_nil(ask(kong_schema, { headers = JSON, body = '{"name":"x","n":1}' }))
    assert.same({ 400, '{"message":{"n":"expected an integer","name":"required field missing"}}' },
      ask(kong_schema, { headers = JSON, body = '{"n":1.5}' }))
    assert.same({ 400, '{"message":"wrong type: expected object"}' }, ask(kong_schema, { headers = JSON, body = "[]" }))
  end)

  it("says no more than it may", function()
    local quiet = { verbose_response = false, body_schema = BODY.body_schema,
      parameter_schema = { { ["in"] = "query", name = "q", required = true } } }
    assert.same({ 400, [[{"message":"request body doesn't conform to schema"}]] },
      ask(quiet, { headers = JSON, body = "{}", query = "q=1" }))
    assert.same({ 400, [[{"message":"request param doesn't conform to schema"}]] }, ask(quiet, { headers = JSON, body = "{}" }))
  end)

  it("lets named media types pass and validates JSON only", function()
    local refusal = { 400, '{"message":"specified Content-Type is not allowed"}' }
    local function with(mime, more)
      local config = { body_schema = BODY.body_schema }
      for name, value in pairs(more or {}) do
        config[name] = value
      end
      return ask(config, { headers = { ["Content-Type"] = mime }, body = "{}" })
    end
    assert.same(refusal, with("text/plain"))
    assert.same(refusal, with("application/json; charset=utf-8"))
    assert.matches("is required", with("application/json; charset=utf-8", { content_type_parameter_validation = false })[2])
    assert.is_nil(with("text/plain", { allowed_content_types = { "text/*" } }))
  end)

  it("refuses a body it cannot read", function()
    assert.same(413, ask(BODY, { headers = JSON, read_error = "too large" })[1])
  end)

  it("checks parameters in query, header and path", function()
    local config = { parameter_schema = {
      { ["in"] = "query", name = "n", required = true, style = "form", explode = true, schema = '{"type":"integer","maximum":9}' },
      { ["in"] = "header", name = "X-Ids", required = false, style = "simple", explode = false,
        schema = '{"type":"array","items":{"type":"integer"}}' },
      { ["in"] = "path", name = "id", required = true, style = "simple", explode = false, schema = '{"type":"integer"}' },
    } }
    local path = { unnamed = {}, named = { id = "7" } }
    assert.is_nil(ask(config, { query = "n=5", captures = path, headers = { ["x-ids"] = { "1,2", "3" } } }))
    for _, case in ipairs({
      { { captures = path }, "query 'n' validation failed, [error] required parameter value not found" },
      { { captures = path, query = "n=10" }, "query 'n' validation failed, [error] expected a number less than or equal to 9" },
      { { captures = path, query = "n=x" }, "query 'n' validation failed, [error] wrong type: expected integer, got string" },
      { { captures = path, query = "n=1", headers = { ["X-Ids"] = "1,x" } },
        "header 'X-Ids' validation failed, [error] item 2: wrong type: expected integer, got string" },
      { { query = "n=1" }, "path 'id' validation failed, [error] required parameter value not found" },
    }) do
      assert.same({ 400, '{"message":"' .. case[2] .. '"}' }, ask(config, case[1]))
    end
  end)
end)
