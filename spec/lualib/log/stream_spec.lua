-- Sending over fake sockets: pooling, TLS, errors with their place, what a retry sends again.

describe("log.stream", function()
  local stream, calls, answers

  local function fake_socket()
    return setmetatable({}, { __index = function(_, name)
      return function(_, ...)
        calls[#calls + 1] = { name, ... }
        local answer = answers[name]
        if type(answer) == "table" then
          answer = table.remove(answer, 1)
        end
        if type(answer) == "string" then
          return nil, answer
        end
        return answer == nil and true or answer
      end
    end })
  end

  before_each(function()
    calls, answers = {}, { getreusedtimes = 0 }
    package.loaded["moongate.abi.socket"] = { tcp = fake_socket, udp = fake_socket }
    package.loaded["moongate.log.stream"] = nil
    stream = require "moongate.log.stream"
  end)

  local function called(name)
    local out = {}
    for _, call in ipairs(calls) do
      if call[1] == name then
        out[#out + 1] = { unpack(call, 2) }
      end
    end
    return out
  end

  local at = { host = "logs", port = 514, timeout_ms = 7, keepalive_ms = 8 }

  it("writes a batch and keeps the connection", function()
    assert.is_true(stream.tcp(at, "a\nb\n"))
    assert.same({ { "logs", 514, "log:logs:514:nil:", 4 } }, called("connect"))
    assert.same({ { "a\nb\n" } }, called("send"))
    assert.same({ { 8, 4 } }, called("setkeepalive"))
    assert.same({}, called("sslhandshake"))
  end)

  it("shakes hands once for each connection", function()
    local tls = { host = "logs", port = 514, timeout_ms = 7, tls = true, sni = "name" }
    stream.tcp(tls, "a")
    answers.getreusedtimes = 1
    stream.tcp(tls, "a")
    assert.same({ { "name", true } }, called("sslhandshake"))
  end)

  it("tells where it failed, and closes", function()
    for _, name in ipairs({ "connect", "send" }) do
      answers = { getreusedtimes = 0, [name] = "broken" }
      calls = {}
      assert.same({ nil, "logs:514: broken" }, { stream.tcp(at, "a") })
      assert.same(1, #called("close"))
    end
  end)

  it("sends datagrams, and leaves those that were not sent", function()
    answers.send = { true, "no buffer" }
    local entries = { "a", "b", "c" }
    assert.same({ nil, "logs:514: no buffer" }, { stream.udp(at, entries) })
    assert.same({ "b", "c" }, entries)
    answers.send = nil
    assert.is_true(stream.udp({ path = "/dev/log" }, entries))
    assert.same({ { "logs", 514 }, { "unix:/dev/log" } }, called("setpeername"))
    assert.same(2, #called("close"))
  end)

  it("knows what fits", function()
    assert.is_true(stream.fits_datagram(("x"):rep(65507)))
    assert.is_false(stream.fits_datagram(("x"):rep(65508)))
  end)
end)
