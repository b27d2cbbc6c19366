-- Host names, addresses, URLs and paths as they stand in a configuration.

local address = require("moongate.schema.address")

describe("addresses", function()
  for text, wanted in pairs({
    ["::"] = true, ["::1"] = true, ["fe80::1:2"] = true, ["1:2:3:4:5:6:7:8"] = true, ["[::1]"] = true,
    ["::ffff:10.0.0.1"] = true, ["1:2:3:4:5:6:10.0.0.1"] = true, ["1:2:3:4:5:6:7"] = false,
    ["1:2:3:4:5:6:7:8:9"] = false, ["12345::"] = false, ["::g"] = false, [":::"] = false,
    ["1::2::3"] = false, ["::10.0.0.999"] = false, ["1:2:3:4:5:6:7::8"] = false,
  }) do
    it((wanted and "takes " or "refuses ") .. text .. " as IPv6", function()
      assert.equal(wanted, address.is_ipv6(text))
    end)
  end

  for text, wanted in pairs({
    ["a.b"] = true, ["a_b"] = true, ["a."] = true, ["1.2.3"] = false, [""] = false, ["-a"] = false,
    ["a..b"] = false, ["a b"] = false, [("a"):rep(64)] = false, [("a."):rep(126) .. "aa"] = false,
  }) do
    it((wanted and "takes " or "refuses ") .. #text .. " bytes '" .. text:sub(1, 10) .. "' as host", function()
      assert.equal(wanted, address.is_hostname(text))
    end)
  end

  it("splits host and port", function()
    assert.same({ "a", 80 }, { address.split_port("a:80") })
    assert.same({ "[::1]", 80 }, { address.split_port("[::1]:80") })
    assert.same({ "::1" }, { address.split_port("::1") })
    assert.same({ "a", false }, { address.split_port("a:65536") })
    assert.same({ "a", false }, { address.split_port("a:") })
  end)

  it("takes URLs apart", function()
    assert.same({ scheme = "https", host = "h.example", port = 8443, path = "/a", query = "b=c", userinfo = "u:p" },
      address.parse_url("HTTPS://u:p@h.example:8443/a?b=c#d"))
    assert.same({ scheme = "http", host = "[::1]" }, address.parse_url("http://[::1]"))
  end)

  it("survives every prefix of a URL", function()
    local url = "https://user:pw@[fe80::1]:8443/a/b?c=d#e"
    for last = 0, #url do
      local parts, err = address.parse_url(url:sub(1, last))
      assert.is_true(type(parts or err) == (parts and "table" or "string"))
    end
  end)

  for path, wanted in pairs({
    ["/"] = "/", ["/a"] = "/a", ["/a/"] = "/a/", ["/a/./b"] = "/a/b", ["/a/.."] = "/", ["/a/b/.."] = "/a/",
    ["/%61"] = "/a", ["/%2f"] = "/%2F", ["//a"] = "/a", ["/../a"] = "/a", ["/a/."] = "/a/",
  }) do
    it("normalises " .. path, function()
      assert.equal(wanted, address.normalise_path(path))
    end)
  end
end)
