local attributes = require "moongate.tracing.attributes"

local function span()
  return { attributes = {} }
end

local record = {
  request = { method = "GET", url = "http://a.test/", id = "r1" }, response = { status = 200 }, client_ip = "1.2.3.4",
  upstream_status = "200", service = { name = "svc", host = "up" }, route = { name = "rt", paths = { "/a", "/b" } },
}

describe("attributes", function()
  it("of the root span", function()
    local root = span()
    attributes.set_root(root, record, { minor = 1, scheme = "https", host = "a.test", peer_ip = "5.6.7.8" })
    assert.same({ attributes = { ["http.method"] = "GET", ["http.url"] = "http://a.test/", ["http.host"] = "a.test",
      ["http.scheme"] = "https", ["http.flavor"] = "1.1", ["http.status_code"] = 200, ["http.client_ip"] = "1.2.3.4",
      ["net.peer.ip"] = "5.6.7.8", ["http.route"] = "/a", ["kong.request.id"] = "r1", ["kong.route.name"] = "rt",
      ["kong.service.name"] = "svc" } }, root)
    local failed = span()
    attributes.set_root(failed, { request = {}, response = { status = 502 } }, {})
    assert.same(2, failed.status)
  end)

  it("of the upstream's span, and when it failed", function()
    local tries = { { ip = "10.0.0.1", port = 80, state = "failed" }, { ip = "10.0.0.2", port = 81 } }
    local proxy = span()
    attributes.set_proxy(proxy, record, tries)
    assert.same({ attributes = { ["net.peer.ip"] = "10.0.0.2", ["net.peer.port"] = 81, ["net.peer.name"] = "up",
      ["http.status_code"] = 200, try_count = 2 } }, proxy)
    for _, case in ipairs({ { "500", tries }, { nil, tries }, { "200", { tries[1] } } }) do
      local failed = span()
      attributes.set_proxy(failed, { upstream_status = case[1] }, case[2])
      assert.same(2, failed.status)
    end
  end)

  it("of LLMs, by OpenTelemetry's names", function()
    local genai = span()
    attributes.set_genai(genai, { provider = "azure", model = "gpt-4o", response_model = "gpt-4o-2024", prompt_tokens = 5,
      completion_tokens = 7, route_type = "llm/v1/chat", finish_reason = "stop", time_to_first_token = 250, cost = 0.5 })
    assert.same({ ["gen_ai.operation.name"] = "chat", ["gen_ai.provider.name"] = "azure.ai.openai",
      ["gen_ai.request.model"] = "gpt-4o", ["gen_ai.response.model"] = "gpt-4o-2024", ["gen_ai.usage.input_tokens"] = 5,
      ["gen_ai.usage.output_tokens"] = 7, ["gen_ai.response.finish_reasons"] = { "stop" },
      ["gen_ai.server.time_to_first_token"] = 0.25, ["kong.gen_ai.llm.cost"] = 0.5 }, genai.attributes)
  end)
end)
