-- Tokens by client credentials: what is asked, kept, renewed and said.

local fake_shdict = require "plugins.fake_shdict"

describe("auth.client_credentials", function()
  local credentials, shdict, asked, answer, timers, now, mono, logged

  before_each(function()
    asked, timers, logged, now, mono = {}, {}, {}, 1000, 0
    answer = { status = 200, body = '{"access_token":"t1","token_type":"Bearer","expires_in":100}' }
    shdict = fake_shdict.new("kong_secrets")
    for name, module in pairs({
      ["moongate.abi.shdict"] = shdict,
      ["moongate.abi.crypto"] = { sha256 = function(s) return s end, hex = function(s) return "h:" .. s end,
        encode_base64 = function(s) return "b64(" .. s .. ")" end },
      ["moongate.abi.node"] = { now = function() return now end, mono = function() return mono end,
        update_time = function() end },
      ["moongate.abi.wait"] = {
        timer_at = function(_, fn, ...)
          timers[#timers + 1] = { fn, ... }
          return 1
        end,
        -- While somebody sleeps, timers run.
        sleep = function(s)
          mono = mono + s
          local due = timers
          timers = {}
          for _, timer in ipairs(due) do
            timer[1](false, unpack(timer, 2))
          end
        end,
      },
      ["moongate.http.client"] = { request = function(opts)
        asked[#asked + 1] = opts
        if type(answer) == "string" then
          return nil, answer
        end
        return answer
      end },
      ["moongate.pdk.log"] = { err = function(...) logged[#logged + 1] = table.concat({ ... }) end },
    }) do
      package.loaded[name] = module
    end
    package.loaded["moongate.auth.client_credentials"] = nil
    credentials = require "moongate.auth.client_credentials"
  end)

  teardown(function()
    for name in pairs(package.loaded) do
      if name:find("^moongate%.abi") or name:find("^moongate%.auth") or name:find("^moongate%.http")
        or name:find("^moongate%.pdk") then
        package.loaded[name] = nil
      end
    end
  end)

  local function conf(more)
    local out = { token_url = "https://id.test/token", client_id = "me&", client_secret = "s:x", scope = "a b" }
    for name, value in pairs(more or {}) do
      out[name] = value
    end
    return out
  end

  it("asks as RFC 6749 says", function()
    assert.same("t1", (credentials.token(conf())))
    local request = asked[1]
    assert.same({ "https://id.test/token", "POST", "grant_type=client_credentials&scope=a%20b", "Basic b64(me%26:s%3Ax)", true },
      { request.url, request.method, request.body, request.headers.Authorization, request.ssl_verify })
    credentials.token(conf({ auth_method = "client_secret_post", audience = "x", scope = "" }))
    assert.same({ "grant_type=client_credentials&audience=x&client_id=me%26&client_secret=s%3Ax" },
      { asked[2].body, asked[2].headers.Authorization })
  end)

  it("asks once for all who want the same, and apart for others", function()
    local c = conf()
    for _ = 1, 3 do
      credentials.token(c)
      credentials.token(conf())
    end
    assert.same(1, #asked)
    credentials.token(conf({ scope = "c" }))
    assert.same(2, #asked)
  end)

  it("renews ahead of the end, in the background, once", function()
    local c = conf()
    credentials.token(c)
    answer.body = '{"access_token":"t2","expires_in":"100"}'
    now = now + 79
    assert.same("t1", (credentials.token(c)))
    assert.same(0, #timers)
    now = now + 2
    for _ = 1, 3 do
      assert.same("t1", (credentials.token(c)))
    end
    assert.same({ 1, 1 }, { #timers, #asked })
    package.loaded["moongate.abi.wait"].sleep(0)
    assert.same({ "t2", 2 }, { credentials.token(c), #asked })
  end)

  it("uses no token that has run out", function()
    local c = conf()
    credentials.token(c)
    now = now + 96
    answer = "refused"
    assert.is_nil((credentials.token(c)))
  end)

  it("waits for another's request, and takes over one that vanished", function()
    local c = conf()
    credentials.token(c)
    local key = shdict.keys()[1]
    shdict.delete(1, key)
    shdict.set(1, key .. ":lock", true)
    local sleep, looks = package.loaded["moongate.abi.wait"].sleep, 0
    package.loaded["moongate.abi.wait"].sleep = function(s)
      looks = looks + 1
      if looks == 3 then
        shdict.delete(1, key .. ":lock")
      end
      sleep(s)
    end
    assert.same("t1", (credentials.token(c)))
    assert.same(2, #asked)
  end)

  it("says what failed, to all who wait, and never a secret", function()
    for _, case in ipairs({
      { "id.test:443: connection refused", "id.test:443: connection refused" },
      { { status = 401, body = '{"error":"invalid_client","error_description":"s:x"}' }, "answered 401: invalid_client" },
      { { status = 500, body = "s:x" }, "answered 500" },
      { { status = 200, body = '{"error":"s:x"}' }, "holds no access_token" },
      { { status = 200, body = '{"access_token":"a\\nb"}' }, "holds no access_token" },
      { { status = 200, body = '{"access_token":"a","token_type":"mac"}' }, "another type than Bearer" },
      { { status = 200, body = '{"access_token":"a","expires_in":0}' }, "has run out" },
    }) do
      shdict.dict, logged = shdict.dict, {}
      for key in pairs(shdict.dict) do
        shdict.dict[key] = nil
      end
      answer = case[1]
      local before = #asked
      for _ = 1, 2 do
        local token, why = credentials.token(conf())
        assert.is_nil(token)
        assert.matches(case[2], why, 1, true)
        assert.is_nil(why:find("s:x", 1, true))
      end
      assert.same({ 1, 1 }, { #asked - before, #logged })
      assert.is_nil(logged[1]:find("s:x", 1, true))
    end
  end)

  it("gives up in time", function()
    package.loaded["moongate.abi.wait"].sleep = function(s) mono = mono + s end
    assert.same("timeout", select(2, credentials.token(conf({ timeout = 100 }))))
  end)

  it("forgets a token that was refused", function()
    local c = conf()
    credentials.forget(c, "other")
    credentials.token(c)
    credentials.forget(c, "other")
    credentials.token(c)
    assert.same(1, #asked)
    credentials.forget(c, "t1")
    credentials.token(c)
    assert.same(2, #asked)
  end)
end)
