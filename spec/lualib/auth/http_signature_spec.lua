local http_signature = require "moongate.auth.http_signature"

local VALUE = 'hmac username="alice", algorithm="hmac-sha256", headers="date request-line", signature="c2ln"'

describe("an HTTP signature", function()
  it("comes apart, in any order", function()
    local want = { username = "alice", algorithm = "hmac-sha256", headers = { "date", "request-line" }, signature = "c2ln" }
    for _, value in ipairs({ VALUE, " HMAC  " .. VALUE:sub(6),
      'hmac signature="c2ln",headers="date  request-line" , algorithm = "hmac-sha256",username="alice" ' }) do
      assert.same(want, http_signature.parse(value))
    end
  end)

  it("is none when cut at any byte", function()
    for n = 0, #VALUE - 1 do
      assert.is_nil(http_signature.parse(VALUE:sub(1, n)), n)
    end
  end)

  it("is none with a part missing, empty, twice or unknown", function()
    for _, value in ipairs({
      VALUE:gsub('username="alice", ', ""), VALUE:gsub("alice", ""), VALUE .. ', username="bob"', VALUE .. ', x="1"',
      VALUE .. ",", VALUE .. " x", "Basic " .. VALUE:sub(6), 'hmacusername="a"', "",
    }) do
      assert.is_nil((http_signature.parse(value)))
    end
  end)

  it("knows what was signed, whatever the case", function()
    local parsed = http_signature.parse(VALUE)
    assert.is_true(http_signature.signs(parsed, "Date"))
    assert.is_false(http_signature.signs(parsed, "host"))
  end)

  it("has a text, line by line", function()
    local source = { method = "POST", target = "/a%20b?c=1", version = 1, header = function(name)
      return ({ date = "today", ["X-Empty"] = "" })[name]
    end }
    local names = { "request-line", "date", "X-Empty", "x-absent", "@request-target" }
    assert.same("POST /a%20b?c=1 HTTP/1.0\ndate: today\nX-Empty: \nx-absent:\n@request-target: post /a%20b?c=1",
      http_signature.text({ headers = names }, source))
    assert.same("", http_signature.text({ headers = {} }, source))
  end)
end)
