local traffic = require "plugins.fake_traffic"

describe("redirect", function()
  local plugin = traffic.new("redirect")

  local function ask(conf, spec)
    local answer = plugin:access(conf, spec)
    return { answer.status, answer.body, plugin:answered("Location") }
  end

  it("sends clients to the location", function()
    assert.same({ 301, "redirecting", "https://a.test/b?c" },
      ask({ status_code = 301, location = "https://a.test/b?c" }, { path = "/x", query = "y" }))
  end)

  it("keeps the path and query as they came", function()
    for location, path in pairs({ ["https://a.test"] = "https://a.test/%7ex?q=%20", ["https://a.test:8443/b?c#d"] =
      "https://a.test:8443/%7ex?q=%20#d" }) do
      assert.same({ 302, "redirecting", path }, ask({ status_code = 302, location = location, keep_incoming_path = true },
        { path = "/~x", raw_path = "/%7ex", query = "q=%20" }))
    end
    assert.same("http://a.test/", ask({ status_code = 302, location = "http://a.test", keep_incoming_path = true })[3])
  end)
end)
