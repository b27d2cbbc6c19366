-- One request through a bundled plugin over the real PDK and a faked abi: for plugins that change requests
-- and responses. What they did is read off the fake (see lualib/pdk/fake_abi).
-- Not a gateway: how C behaves is tested where it lives and in spec/e2e.

local fake_abi = require "lualib.pdk.fake_abi"
local cjson = require "cjson"
local mime = require "mime"

local M = {}

local function lines_of(headers)
  local out = {}
  for name, value in pairs(headers or {}) do
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      out[#out + 1] = { name, one }
    end
  end
  return out
end

local function stub_more(self, fake)
  local exchange, request = package.loaded["moongate.abi.exchange"], package.loaded["moongate.abi.request"]
  function exchange.want(phase)
    self.wanted[phase] = true
  end
  for name, key in pairs({ set_path = "path", set_query = "query" }) do
    exchange[name] = function(value)
      self.upstream[key] = value
      if key == "query" then
        fake.query = value
      end
      return true
    end
  end
  function exchange.limit_body(max)
    self.body_limit = max
    return #fake.body <= max or nil
  end
  function exchange.path()
    return self.upstream.path or fake.path
  end
  exchange.method = request.method
  function request.header_lines(name)
    local n = 0
    for _, line in ipairs(fake.request_lines) do
      n = n + (line[1]:lower() == name:lower() and 1 or 0)
    end
    return n
  end
  request.raw_target = function() return fake.target or fake.path end
  request.server_addr, request.server_port = function() return "10.0.0.9" end, function() return 8000 end
  request.connection_requests = function() return 3 end
  local node = package.loaded["moongate.abi.node"]
  function node.now() return self.now end
  node.update_time = function() end
  package.loaded["moongate.abi.response"].whole = function() return not fake.broken end
  package.loaded["moongate.abi.guard"] = { stopped = function() return false end }
  package.loaded["moongate.abi.json"] = { decode = cjson.decode, null = cjson.null }
  package.loaded["moongate.abi.crypto"] = {
    sha256 = function(s) return "sha256 of " .. s end,
    hex = function(s) return s end,
    encode_base64 = function(s) return (mime.b64(s)) end,
  }
end

-- A fresh handler. world: modules to put in package.loaded, by name.
function M.new(plugin, world)
  local kong, fake = fake_abi.install()
  local self = { fake = fake, kong = kong, now = 1700000000, wanted = {}, upstream = {} }
  stub_more(self, fake)
  for name, module in pairs(world or {}) do
    package.loaded[name] = module
  end
  rawset(_G, "kong", kong)
  rawset(_G, "ngx", self.ngx or {})
  for name in pairs(package.loaded) do
    if name:find("^kong%.plugins%.") or name:find("^moongate%.transform%.") or name:find("^moongate%.limits%.")
      or name:find("^moongate%.http%.") or name:find("^moongate%.snippets") or name:find("^moongate%.cache%.") then
      package.loaded[name] = world and world[name] or nil
    end
  end
  self.handler = require("kong.plugins." .. plugin .. ".handler")
  self.record = { name = plugin, id = "p1", handler = self.handler, conf = {} }
  return setmetatable(self, { __index = M })
end

-- Begins a request. spec: fields of the fake, headers, response_headers {name = value | {values}}.
function M.request(self, spec)
  self.wanted, self.upstream = {}, {}
  local over = {}
  for name, value in pairs(spec or {}) do
    over[name] = value
  end
  over.request_lines = over.request_lines or lines_of(over.headers)
  over.response_lines = over.response_lines or lines_of(over.response_headers)
  over.headers, over.response_headers = nil, nil
  over.raw_path = over.raw_path or over.path
  self.fake:reset(over)
  return self
end

-- Runs a phase; the answer given by exit or error, or nil. Other errors go on.
function M.run(self, phase, conf)
  self.fake:phase(phase)
  self.fake:plugin(self.record)
  local ok, err = pcall(self.handler[phase], self.handler, conf)
  if not ok and (err == nil or err ~= self.fake.exited) then
    error(err, 0)
  end
  return self.fake.exited
end

-- Runs access in a new request.
function M.access(self, conf, spec)
  return self:request(spec):run("access", conf)
end

-- Feeds chunks to body_filter; what came out of it, joined.
function M.filter(self, conf, ...)
  local out, chunks = {}, { ... }
  for i = 1, #chunks + 1 do
    self.fake.chunk, self.fake.last = chunks[i] or "", i > #chunks
    self:run("body_filter", conf)
    out[i] = self.fake.chunk or ""
  end
  return table.concat(out)
end

local function joined(lines, name)
  local out = {}
  for _, line in ipairs(lines) do
    if line[1]:lower() == name:lower() then
      out[#out + 1] = line[2]
    end
  end
  return out[1] and table.concat(out, ", ") or nil
end

-- The request's, and the response's, lines of a field.
function M.sent(self, name)
  return joined(self.fake.request_lines, name)
end

function M.answered(self, name)
  return joined(self.fake.response_lines, name)
end

return M
