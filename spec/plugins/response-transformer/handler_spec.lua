local traffic = require "plugins.fake_traffic"

local function conf(more)
  local out = {}
  for _, action in ipairs({ "remove", "rename", "replace", "add", "append" }) do
    local given = more[action] or {}
    out[action] = { headers = given.headers or {}, json = given.json or {}, json_types = given.json_types or {} }
  end
  return out
end

local JSON = { ["Content-Type"] = "application/json; charset=utf-8", ["Content-Length"] = "9" }

describe("response-transformer", function()
  local plugin = traffic.new("response-transformer")

  local function head(more, headers)
    plugin:request({ response_headers = headers }):run("header_filter", conf(more))
  end

  it("changes headers in Kong's order", function()
    head({
      remove = { headers = { "x-remove" } }, rename = { headers = { "x-old:X-New" } },
      replace = { headers = { "x-replace:r", "x-absent:r" } }, add = { headers = { "x-there:no", "X-Add:a:b" } },
      append = { headers = { "x-append:2" } },
    }, { ["X-Remove"] = "1", ["X-Old"] = { "1", "2" }, ["X-Replace"] = { "1", "2" }, ["X-There"] = "yes",
      ["X-Append"] = "1" })
    assert.same({ "1, 2", "r", "yes", "a:b", "1, 2" }, { plugin:answered("X-New"), plugin:answered("X-Replace"),
      plugin:answered("X-There"), plugin:answered("X-Add"), plugin:answered("X-Append") })
    for _, name in ipairs({ "X-Remove", "X-Old", "X-Absent" }) do
      assert.is_nil(plugin:answered(name))
    end
    assert.is_nil(plugin.wanted.body_filter)
  end)

  it("removes lines by their value", function()
    _G.ngx.re = { find = function(value, pattern) return value:find(pattern) end }
    head({ remove = { headers = { "set-cookie:a=1", "x:/^b/" } } },
      { ["Set-Cookie"] = { "a=1", "a=2" }, X = { "abc", "bcd" } })
    assert.same({ "a=2", "abc" }, { plugin:answered("Set-Cookie"), plugin:answered("X") })
  end)

  it("asks for the body of JSON only", function()
    local add = { add = { json = { "a:1" } } }
    head(add, JSON)
    assert.is_true(plugin.wanted.body_filter)
    assert.is_nil(plugin:answered("Content-Length"))
    for _, mime in ipairs({ "text/html", "application/x-ndjson-like" }) do
      head(add, { ["Content-Type"] = mime, ["Content-Length"] = "9" })
      assert.same({ nil, "9" }, { plugin.wanted.body_filter, plugin:answered("Content-Length") })
    end
    head({ add = { headers = { "a:1" } } }, JSON)
    assert.same("9", plugin:answered("Content-Length"))
  end)

  it("changes the members of a body that comes in pieces, with types", function()
    local rules = conf({ remove = { json = { "r" } }, rename = { json = { "o:n" } },
      replace = { json = { "p:2", "q:x" }, json_types = { "number", "number" } },
      add = { json = { "b:true", "s:true", "f:1.5" }, json_types = { "boolean", "string", "number" } },
      append = { json = { "l:3" }, json_types = { "number" } } })
    plugin:request({ response_headers = JSON })
    assert.same('{"i":12345678901234567890,"n":1,"p":2,"q":"x","l":[1,3],"b":true,"s":"true","f":1.5}',
      plugin:filter(rules, '{"i":123456789012', '34567890,"o":1,"r":0,"p":1,"q"', ':null,"l":[1]}'))
  end)

  it("passes what is no JSON object as it came", function()
    for _, body in ipairs({ "[1]", "<html>", '{"a":' }) do
      plugin:request({ response_headers = JSON })
      assert.same(body, plugin:filter(conf({ add = { json = { "a:1" } } }), body))
      assert.matches("response body left as it is", plugin.fake.logged[1].text, 1, true)
    end
    plugin:request({ response_headers = JSON })
    assert.same("", plugin:filter(conf({ add = { json = { "a:1" } } }), ""))
  end)
end)
