local traffic = require "plugins.fake_traffic"

local ACTIONS = { "remove", "rename", "replace", "add", "append" }

local function conf(more)
  local out = {}
  for _, action in ipairs(ACTIONS) do
    local given = more[action] or {}
    out[action] = { headers = given.headers or {}, querystring = given.querystring or {}, body = given.body or {},
      uri = given.uri }
  end
  out.http_method = more.http_method
  return out
end

describe("request-transformer", function()
  local plugin = traffic.new("request-transformer")

  local function access(more, spec)
    return plugin:access(conf(more), spec)
  end

  it("changes headers in Kong's order", function()
    access({
      remove = { headers = { "x-remove" } }, rename = { headers = { "x-old:X-New" } },
      replace = { headers = { "x-replace:r", "x-absent:r" } }, add = { headers = { "x-there:no", "X-Add:a:b" } },
      append = { headers = { "x-append:2" } },
    }, { headers = { ["X-Remove"] = "1", ["X-Old"] = { "1", "2" }, ["X-Replace"] = { "1", "2" }, ["X-There"] = "yes",
      ["X-Append"] = "1" } })
    assert.same({ "1, 2", "r", "yes", "a:b", "1, 2" }, { plugin:sent("X-New"), plugin:sent("X-Replace"),
      plugin:sent("X-There"), plugin:sent("X-Add"), plugin:sent("X-Append") })
    for _, name in ipairs({ "X-Remove", "X-Old", "X-Absent" }) do
      assert.is_nil(plugin:sent(name))
    end
  end)

  it("changes Host by replace only", function()
    access({ add = { headers = { "host:a" } }, remove = { headers = { "Host" } }, rename = { headers = { "host:h" } },
      append = { headers = { "host:b" } } }, { headers = { Host = "me" } })
    assert.same("me", plugin:sent("Host"))
    assert.is_nil(plugin.fake.calls.set_host_header)
    access({ replace = { headers = { "host:other" } } }, { headers = { Host = "me" } })
    assert.same({ "other" }, plugin.fake.calls.set_host_header)
  end)

  it("renders templates over the request as it came", function()
    access({ remove = { headers = { "x-a" } }, rename = { headers = { "x-b:x-c" } },
      add = { headers = { "x-out:$(headers['x-a'])-$(headers.x_b)-$(query_params.q)-$(uri_captures.name)-$(uri_captures[1])" } },
      replace = { uri = "/new/$(uri_captures.name)?z=$(query_params.q)" } },
      { query = "q=1%202", headers = { ["X-A"] = "a", ["X-B"] = "b" },
        captures = { unnamed = { [0] = "/n", "n" }, named = { name = "n" } } })
    assert.same("a-b-1 2-n-n", plugin:sent("x-out"))
    assert.same({ path = "/new/n", query = "z=1%202&q=1%202" }, plugin.upstream)
  end)

  it("fails where a template fails", function()
    assert.has_error(function()
      access({ add = { headers = { "x:$(headers.a.b.c)" } } })
    end)
  end)

  it("changes the query and keeps what no rule names", function()
    access({ remove = { querystring = { "a" } }, rename = { querystring = { "b:c" } },
      replace = { querystring = { "d:$(query_params.a)" } }, add = { querystring = { "e:5" } },
      append = { querystring = { "f:2" } } }, { query = "z=%7e&a=1&b=2&d=3&f=1" })
    assert.same("z=%7e&c=2&d=1&f=1&e=5&f=2", plugin.upstream.query)
    access({ remove = { querystring = { "a" } } }, { query = "z=%7e&" })
    assert.is_nil(plugin.upstream.query)
  end)

  it("changes JSON bodies and keeps exact numbers", function()
    access({ remove = { body = { "a" } }, replace = { body = { "b:x\"y" } }, add = { body = { "c:1" } },
      append = { body = { "l:z" } } }, { body = '{"a":1,"b":2,"n":12345678901234567890,"l":[1]}',
      headers = { ["Content-Type"] = "application/json; charset=utf-8" } })
    assert.same('{"b":"x\\"y","n":12345678901234567890,"l":[1,"z"],"c":"1"}', plugin.fake.body)
    access({ add = { body = { "c:1" } } }, { body = "", headers = { ["Content-Type"] = "application/json" } })
    assert.same('{"c":"1"}', plugin.fake.body)
  end)

  it("changes forms and multipart bodies", function()
    access({ rename = { body = { "a:b" } } }, { body = "a=1&c",
      headers = { ["Content-Type"] = "application/x-www-form-urlencoded" } })
    assert.same("b=1&c", plugin.fake.body)
    access({ add = { body = { "b:2" } } }, { body = '--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--X--',
      headers = { ["Content-Type"] = 'multipart/form-data; boundary="X"' } })
    assert.same('--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
      .. '--X\r\nContent-Disposition: form-data; name="b"\r\n\r\n2\r\n--X--\r\n', plugin.fake.body)
  end)

  it("leaves bodies alone that are not what they say, or of other types", function()
    for mime, body in pairs({ ["application/json"] = "[1", ["text/plain"] = "a=1", ["multipart/form-data; boundary=X"] = "a" }) do
      access({ add = { body = { "b:2" } } }, { body = body, headers = { ["Content-Type"] = mime } })
      assert.same(body, plugin.fake.body)
    end
  end)

  it("refuses a body it cannot read", function()
    local answer = access({ add = { body = { "b:2" } } }, { read_error = "too large",
      headers = { ["Content-Type"] = "application/json" } })
    assert.same({ 413, "cannot read the request body: too large" }, { answer.status, answer.message })
  end)

  it("changes the method, and a form becomes a query", function()
    access({ http_method = "GET" }, { method = "POST", query = "q=1", body = "a=1&b=%20",
      headers = { ["Content-Type"] = "application/x-www-form-urlencoded" } })
    assert.same({ "GET" }, plugin.fake.calls.set_method)
    assert.same("q=1&a=1&b=%20", plugin.upstream.query)
    access({ http_method = "PUT" }, { method = "POST", body = "a=1" })
    assert.same({ "PUT" }, plugin.fake.calls.set_method)
    assert.is_nil(plugin.upstream.query)
  end)
end)
