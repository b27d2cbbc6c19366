-- How origins are compared: spec/lualib/cors/origins_spec.lua.
local fake = require "plugins.fake_gateway"

local A, B = "https://a.example", "https://b.example"
local METHODS = "GET,PUT"

-- ngx.re.find for "^(?:...)$" around a Lua pattern.
local function find(subject, pattern)
  local inner = pattern:match("^%^%(%?:(.*)%)%$$")
  if inner == "(broken)" then
    return nil, nil, "pcre2_match() failed: -47"
  end
  return subject:find("^" .. inner .. "$")
end

local function run(phase, spec, more)
  local conf = { methods = { "GET", "PUT" }, credentials = false, private_network = false, preflight_continue = false,
    allow_origin_absent = true }
  for name, value in pairs(more or {}) do
    conf[name] = value
  end
  spec.ngx = { re = { find = find } }
  local self = fake.new("cors", spec)
  for name, value in pairs(spec.before or {}) do
    self.response[name] = value
  end
  return fake.run(self, phase, conf), self.response, self
end

local function preflight(more, headers)
  local spec = { method = "OPTIONS", headers = { Origin = A, ["Access-Control-Request-Method"] = "PUT" } }
  for name, value in pairs(headers or {}) do
    spec.headers[name] = value or nil
  end
  return run("access", spec, more)
end

local function actual(more, origin, before)
  local _, response, self = run("header_filter", { headers = { Origin = origin }, before = before }, more)
  return response, self
end

describe("cors", function()
  it("has Kong's priority", function()
    assert.same(2000, fake.new("cors", { ngx = {} }).handler.PRIORITY)
  end)

  describe("answers a preflight", function()
    it("for every origin", function()
      local answer, response = preflight()
      assert.same({ status = 200 }, answer)
      assert.same({ ["Access-Control-Allow-Origin"] = "*", ["Access-Control-Allow-Methods"] = METHODS }, response)
    end)

    it("for one of several origins", function()
      local _, response = preflight({ origins = { A, B } })
      assert.same({ ["Access-Control-Allow-Origin"] = A, ["Access-Control-Allow-Methods"] = METHODS, Vary = "Origin" }, response)
    end)

    it("for none, when its origin is not one of them", function()
      local answer, response = preflight({ origins = { B, "https://%w+%.other" }, credentials = true })
      assert.same({ status = 200 }, answer)
      assert.same({ ["Access-Control-Allow-Methods"] = METHODS, Vary = "Origin" }, response)
    end)

    it("with what is configured", function()
      local _, response = preflight({ headers = { "X-One", "X-Two" }, max_age = 600, credentials = true, private_network = true },
        { ["Access-Control-Request-Headers"] = "x-other", ["Access-Control-Request-Private-Network"] = "true" })
      assert.same({
        ["Access-Control-Allow-Origin"] = A, ["Access-Control-Allow-Credentials"] = "true", Vary = "Origin",
        ["Access-Control-Allow-Methods"] = METHODS, ["Access-Control-Allow-Headers"] = "X-One,X-Two",
        ["Access-Control-Max-Age"] = "600", ["Access-Control-Allow-Private-Network"] = "true",
      }, response)
    end)

    it("with the headers it asks for", function()
      local _, response = preflight({ headers = {}, private_network = true }, { ["Access-Control-Request-Headers"] = "x-a, x-b" })
      assert.same("x-a, x-b", response["Access-Control-Allow-Headers"])
      assert.is_nil(response["Access-Control-Allow-Private-Network"])
    end)

    it("only when it is one, and nobody else answers", function()
      for _, headers in ipairs({ { Origin = false }, { ["Access-Control-Request-Method"] = false } }) do
        local answer, response = preflight(nil, headers)
        assert.same({ nil, {} }, { answer, response })
      end
      local answer, response = preflight({ preflight_continue = true })
      assert.same({ nil, {} }, { answer, response })
      answer = run("access", { headers = { Origin = A, ["Access-Control-Request-Method"] = "PUT" } })
      assert.is_nil(answer)
    end)
  end)

  describe("tells who may read a response", function()
    it("everybody", function()
      assert.same({ ["Access-Control-Allow-Origin"] = "*" }, actual(nil, A))
      assert.same({ ["Access-Control-Allow-Origin"] = "*" }, actual({ origins = { "*" } }, nil))
    end)

    it("everybody, with credentials", function()
      assert.same({ ["Access-Control-Allow-Origin"] = A, ["Access-Control-Allow-Credentials"] = "true", Vary = "Origin" },
        actual({ credentials = true }, A))
      assert.same({ ["Access-Control-Allow-Origin"] = "*" }, actual({ credentials = true }, nil))
    end)

    it("the only origin, whoever asks", function()
      for _, origin in ipairs({ A, B, "" }) do
        assert.same({ ["Access-Control-Allow-Origin"] = A, Vary = "Origin" },
          actual({ origins = { A } }, origin ~= "" and origin or nil))
      end
    end)

    it("the origin that fits a pattern", function()
      local more = { origins = { "https://%w+%.example" }, credentials = true }
      assert.same({ ["Access-Control-Allow-Origin"] = B, ["Access-Control-Allow-Credentials"] = "true", Vary = "Origin" },
        actual(more, B))
      assert.same({ Vary = "Origin" }, actual(more, "https://b.other"))
      assert.same({ Vary = "Origin" }, actual(more, nil))
    end)

    it("not what the upstream says", function()
      assert.same({ Vary = "Origin" }, actual({ origins = { A, B } }, "https://c.example",
        { ["Access-Control-Allow-Origin"] = "*" }))
    end)

    it("beside what varies already", function()
      local more = { origins = { A, B } }
      for before, after in pairs({ ["Accept-Encoding"] = "Accept-Encoding, Origin", ["a, origin"] = "a, origin", ["*"] = "*" }) do
        assert.same(after, actual(more, A, { Vary = before }).Vary)
      end
    end)

    it("which headers", function()
      assert.same("X-One,X-Two", actual({ exposed_headers = { "X-One", "X-Two" } }, A)["Access-Control-Expose-Headers"])
    end)

    it("but not without Origin when told so, nor on preflights", function()
      assert.same({}, actual({ allow_origin_absent = false }, nil))
      assert.same({ ["Access-Control-Allow-Origin"] = "*" }, actual({ allow_origin_absent = false }, A))
      local _, response = run("header_filter", { method = "OPTIONS",
        headers = { Origin = A, ["Access-Control-Request-Method"] = "PUT" } }, { preflight_continue = true })
      assert.same({}, response)
    end)

    it("and says when it cannot match", function()
      local response, self = actual({ origins = { "(broken)", A } }, A)
      assert.same({ ["Access-Control-Allow-Origin"] = A, Vary = "Origin" }, response)
      assert.same({ "err: cannot match the origin with '^(?:(broken))$': pcre2_match() failed: -47" }, self.logged)
    end)
  end)
end)
