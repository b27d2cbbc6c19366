-- statsd and datadog in a gateway: the lines that arrive over UDP and TCP.

require("e2e.support.expect")
local client = require("e2e.support.client")
local sched = require("e2e.support.sched")
local site = require("e2e.support.site")
local socket = require("socket")
local upstream = require("e2e.support.upstream")

describe("metrics as StatsD lines", function()
  local gw, up, server, got, task, port

  before_each(function()
    got = {}
    server = assert(socket.udp4())
    assert(server:setsockname("127.0.0.1", 0))
    server:settimeout(0)
    port = tonumber((select(2, server:getsockname())))
    task = sched.spawn(function()
      while true do
        local text = server:receive()
        if text then
          got[#got + 1] = text
        else
          sched.readable(server, 3600)
        end
      end
    end)
  end)

  after_each(function()
    site.stop(gw, up)
    gw, up = nil, nil
    sched.stop(task)
    server:close()
  end)

  local function start(name, config)
    gw, up = site.start({
      route = ("plugins:\n- {name: key-auth}\n- name: %s\n  config: %s"):format(name, config),
      more = "consumers:\n- {username: alice, custom_id: a1, keyauth_credentials: [{key: sesame}]}",
    })
  end

  local function text_of(n)
    sched.wait_until(function()
      return select(2, (table.concat(got, "\n") .. "\n"):gsub("\n", "")) >= n
    end, nil, function() return table.concat(got, "\n") .. gw:errors() end)
    return table.concat(got, "\n") .. "\n"
  end

  it("come from statsd, a packet for each", function()
    start("statsd", ("{host: 127.0.0.1, port: %d}"):format(port))
    assert.status(200, client.get(gw, "/", { apikey = "sesame" }))
    local text = text_of(12)
    for _, pattern in ipairs({ "kong%.service%.app%.request%.count:1|c\n", "kong%.service%.app%.latency:%d+%.?%d*|ms\n",
      "kong%.service%.app%.user%.a1%.status%.200:1|c\n", "kong%.service%.app%.user%.uniques:a1|s\n",
      "kong%.service%.app%.upstream_latency:%d+%.?%d*|ms\n", "kong%.route%.[%x-]+%.user%.a1%.status%.200:1|c\n", }) do
      assert.matches(pattern, text)
    end
    assert.is_nil(table.concat(got):find("\n", 1, true))
  end)

  it("come from statsd over TCP", function()
    local lines = {}
    local peer = upstream.start({ script = function(c)
      while true do
        local line = c:read_through("\n", 3600)
        if not line then
          return
        end
        lines[#lines + 1] = line
      end
    end })
    finally(function() peer:stop() end)
    start("statsd", ("{host: 127.0.0.1, port: %d, use_tcp: true, metrics: [%s]}"):format(peer.port,
      "{name: status_count, stat_type: counter, sample_rate: 1}"))
    client.get(gw, "/", { apikey = "sesame" })
    client.get(gw, "/")
    sched.wait_until(function() return #lines == 2 end)
    assert.same({ "kong.service.app.status.200:1|c\n", "kong.service.app.status.401:1|c\n" }, lines)
  end)

  it("come from datadog, sharing packets", function()
    start("datadog", ("{host: 127.0.0.1, port: %d, queue: {max_batch_size: 2, max_coalescing_delay: 5}}"):format(port))
    client.get(gw, "/", { apikey = "sesame" })
    client.get(gw, "/")
    local text = text_of(11) -- the second has no upstream latency
    assert.matches("kong%.request%.count:1|c|#name:app,status:200,consumer:a1,app:kong\n", text)
    assert.matches("kong%.request%.count:1|c|#name:app,status:401,app:kong\n", text)
    assert.is_true(#got <= 2)
  end)
end)
