-- What LuaJIT makes of the chains of our plugins: nothing on a request's way may be of a kind that it cannot compile. A plugin
-- of this spec listens to the compiler (jit.attach) and tells what it heard.

local client = require("e2e.support.client")
local gateway = require("e2e.support.gateway")
require("e2e.support.expect")
local mime = require("mime")

local REQUESTS = 300

local WATCH = [[
local util, vmdef = require "jit.util", require "jit.vmdef"
local M = { PRIORITY = 1, VERSION = "1.0.0" }
local heard, start = {}, nil

local function place(func, pc)
  local info = util.funcinfo(func, pc)
  return info.loc and info.source:gsub("^[@=]", "") .. ":" .. tostring(info.currentline)
    or "C:" .. tostring(vmdef.ffnames[info.ffid] or info.addr)
end

function M:init_worker()
  jit.attach(function(what, _, func, pc, err, extra)
    if what == "start" then
      start = place(func, pc)
    elseif what == "stop" then
      heard[#heard + 1] = "compiled " .. start
    elseif what == "abort" then
      if type(extra) == "function" then
        extra = place(extra, 0)
      elseif type(extra) == "number" then
        extra = vmdef.bcnames:sub(extra * 6 + 1, extra * 6 + 6)
      end
      heard[#heard + 1] = ("aborted %s at %s: %s"):format(start, place(func, pc),
        (vmdef.traceerr[err] or tostring(err)):format(extra))
    end
  end, "trace")
end

function M:access()
  local text = table.concat(heard, "\n")
  heard = {}
  kong.response.exit(200, text)
end

return M
]]

local SCHEMA = 'return { name = "%s", fields = { { config = { type = "record", fields = {} } } } }'

-- Header reads and writes as a plugin of users' does them.
local HEADERS = [[
local M = { PRIORITY = 2, VERSION = "1.0.0" }
local request, service, response = kong.request, kong.service.request, kong.response
local function copy(name)
  local value = request.get_header(name)
  if value then
    service.set_header("x-copy", value)
    response.set_header("x-seen", value)
  end
end
function M:access()
  copy("user-agent")
end
return M
]]

-- Why a trace may end without a loss: another begins there, or the interpreter returns from the chain.
local USUAL = { "leaving loop in root trace", "inner loop in root trace", "return to lower frame", "down%-recursion",
  "loop unroll limit", "call unroll limit", "retry recording", "bad record location", "symbol not in cache" }

local CONFIG = [[
_format_version: "3.0"
services:
- {name: up, url: "http://127.0.0.1:1", routes: [{name: up, paths: [/up]}], plugins: [{name: request-termination,
    config: {status_code: 200, message: ok}}]}
- {name: heard, url: "http://127.0.0.1:1", routes: [{name: heard, paths: [/heard]}], plugins: [{name: listener}]}
- name: app
  url: http://127.0.0.1:%d/up
  routes:
%s
consumers:
- username: u
  keyauth_credentials: [{key: k}]
  basicauth_credentials: [{username: u, password: p}]
  acls: [{group: g}]
]]

local KEY = { apikey = "k" }
-- Plugin -> its configuration and what a request has.
local PLUGINS = {
  ["key-auth"] = { "{}", KEY },
  ["basic-auth"] = { "{}", { Authorization = "Basic " .. mime.b64("u:p") } },
  acl = { "{allow: [g]}", KEY },
  ["rate-limiting"] = { "{minute: 100000}" },
  ["response-ratelimiting"] = { "{limits: {a: {minute: 100000}}}" },
  ["request-transformer"] = { '{add: {headers: ["x-a:b"]}, remove: {headers: [x-b]}}' },
  ["response-transformer"] = { '{add: {headers: ["x-a:b"]}}' },
  ["correlation-id"] = { "{}" },
  cors = { '{origins: ["http://a.example"]}', { Origin = "http://a.example" } },
  ["ip-restriction"] = { "{allow: [127.0.0.0/8]}" },
  ["bot-detection"] = { "{}" },
  ["request-size-limiting"] = { "{}" },
  ["proxy-cache"] = { "{strategy: memory, content_type: [text/plain, application/json]}" },
  ["file-log"] = { "{path: /dev/null}" },
}

local OWN = { headers = HEADERS, listener = WATCH }

local function routes()
  local lines = {
    "  - {name: headers, paths: [/headers], plugins: [{name: headers}]}",
  }
  for name, case in pairs(PLUGINS) do
    lines[#lines + 1] = ("  - {name: %s, paths: [/%s], plugins: [{name: %s, config: %s}%s]}"):format(name, name, name,
      case[1], name == "acl" and ", {name: key-auth}" or "")
  end
  return table.concat(lines, "\n")
end

local function is_usual(line)
  for _, pattern in ipairs(USUAL) do
    if line:find(pattern) then
      return true
    end
  end
  return false
end

-- The lines of `heard` that begin with a word, without those that may be.
local function pick(heard, word)
  local out = {}
  for line in heard:gmatch("[^\n]+") do
    if line:find("^" .. word) and not is_usual(line) then
      out[#out + 1] = line
    end
  end
  return out
end

describe("LuaJIT compiles what runs for a request:", function()
  local gw

  setup(function()
    local port = require("e2e.support.upstream").refused_port()
    local files = { ["kong.yaml"] = CONFIG:format(port, routes()) }
    for name, handler in pairs(OWN) do
      files["plugins/" .. name .. "/handler.lua"], files["plugins/" .. name .. "/schema.lua"] = handler, SCHEMA:format(name)
    end
    gw = gateway.start({
      config = files,
      settings = { proxy_listen = "127.0.0.1:" .. port, trusted_plugins = "listener", access_log = "off" },
      wait = false,
    })
    gw.port = port
    gw:wait_ready()
  end)

  teardown(function()
    gw:stop()
  end)

  local function run(name)
    client.get(gw, "/heard")
    local c = client.connect(gw)
    for _ = 1, REQUESTS do
      assert.status(200, c:request({ path = "/" .. name, headers = PLUGINS[name] and PLUGINS[name][2] }))
    end
    c:close()
    return client.get(gw, "/heard").body
  end

  for name in pairs(PLUGINS) do
    it(name, function()
      assert.same({}, pick(run(name), "aborted"))
    end)
  end

  it("header reads and writes of the PDK, in a plugin from a file", function()
    local heard, rounds = "", 0
    repeat -- what is hot first is compiled first: the chain around it, or the plugin itself
      heard, rounds = heard .. "\n" .. run("headers"), rounds + 1
    until heard:find("compiled [^\n]*plugins/headers/handler%.lua") or rounds == 20
    assert.same({}, pick(heard, "aborted"))
    assert.matches("compiled [^\n]*plugins/headers/handler%.lua", heard)
  end)

  it("and what it does not compile would fail here", function()
    local heard = "aborted a.lua:1 at b.lua:2: NYI: bytecode FNEW  \naborted a.lua:1 at b.lua:2: leaving loop in root trace"
    assert.same({ "aborted a.lua:1 at b.lua:2: NYI: bytecode FNEW  " }, pick(heard, "aborted"))
  end)
end)
