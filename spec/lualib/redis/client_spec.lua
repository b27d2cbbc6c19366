describe("the URL of a Redis", function()
  local parse

  setup(function()
    package.loaded["resty.redis"] = package.loaded["resty.redis"] or {}
    package.loaded["moongate.abi.crypto"] = package.loaded["moongate.abi.crypto"] or {}
    parse = require("moongate.redis.client").parse_url
  end)

  teardown(function()
    for _, name in ipairs({ "resty.redis", "moongate.abi.crypto", "moongate.redis.client" }) do
      package.loaded[name] = nil
    end
  end)

  local GOOD = {
    ["redis://db"] = { host = "db", port = 6379, database = 0, ssl = false },
    ["redis://db:7000/3"] = { host = "db", port = 7000, database = 3, ssl = false },
    ["rediss://:p%40ss@db"] = { host = "db", port = 6379, database = 0, ssl = true, password = "p@ss" },
    ["redis://me:a:b@10.0.0.1:1"] = { host = "10.0.0.1", port = 1, database = 0, ssl = false, username = "me", password = "a:b" },
    ["redis://[::1]:7000"] = { host = "::1", port = 7000, database = 0, ssl = false },
  }
  for url, want in pairs(GOOD) do
    it("reads " .. url, function()
      want.timeout, want.ssl_verify = 5000, true
      assert.same(want, parse(url))
    end)
  end

  for _, url in ipairs({ "", "db:6379", "http://db", "redis://", "redis://db:x", "redis://db/x", "redis://a:b:c" }) do
    it(("refuses %q"):format(url), function()
      local server, why = parse(url)
      assert.is_nil(server)
      assert.matches("^expected ", why)
    end)
  end
end)
