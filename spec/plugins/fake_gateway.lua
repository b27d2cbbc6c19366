-- The abi modules and `kong` as far as the bundled plugins call them, over plain tables: one request.
-- Not a gateway: how C and the PDK behave is tested where they live and in spec/e2e.
-- Invariant: exit and error unwind the handler, as they do in the access phase.

local cjson = require "cjson"
local identity = require "moongate.spec.identity"
local mime = require "mime"

local M = {}

local ANSWERED = {} -- raised by exit and error

local function request_of(self, spec)
  local fields = {}
  for name, value in pairs(spec.headers or {}) do
    fields[name:lower()] = type(value) == "table" and value or { value }
  end
  self.fields = fields
  return {
    method = function() return spec.method or "GET" end,
    path = function() return spec.path or "/" end,
    query = function() return spec.query end,
    client_ip = function() return spec.ip or "10.0.0.1" end,
    header = function(name) return (fields[name:lower()] or {})[1] end,
    header_lines = function(name) return #(fields[name:lower()] or {}) end,
    clear_header = function(name) fields[name:lower()] = nil return true end,
    set_header = function(name, value)
      if value:find("[\r\n]") then
        return nil, "invalid name or value"
      end
      fields[name:lower()] = { value }
      return true
    end,
    bytes_in = function() return spec.bytes_in end,
  }
end

local TYPES = { string = "string", number = "number", boolean = "boolean", userdata = "null" }

local function exchange_of(self, spec)
  self.query = spec.query
  return {
    query = function() return self.query end,
    set_query = function(query) self.query = query end,
    read_body = function()
      if spec.body_error then
        return nil, spec.body_error
      end
      return true
    end,
    body_size = function() return #(spec.body or "") end,
    json_open = function()
      local ok, value = pcall(cjson.decode, spec.body or "")
      if not ok or type(value) ~= "table" then
        return nil, "not an object"
      end
      self.json = value
      return true
    end,
    json_type = function(name)
      local value = self.json[name]
      if type(value) == "table" then
        return value[1] ~= nil and "array" or "object"
      end
      return TYPES[type(value)]
    end,
    json_string = function(name) return self.json[name] end,
    json_set = function(name, raw) self.json[name] = cjson.decode("[" .. raw .. "]")[1] return true end,
    json_remove = function(name) self.json[name] = nil return true end,
    latencies = function() return unpack(spec.latencies or {}, 1, 4) end,
  }
end

local function route_of(self, spec)
  local consumers, credentials = spec.consumers or {}, spec.credentials or {}
  local route = {
    consumer = function() return consumers[self.consumer] end,
    consumer_index = function() return self.consumer or -1 end,
    credential = function() return self.credential and credentials[self.credential] end,
    service = function() return spec.service end,
    route = function() return spec.route end,
    set_consumer = function(consumer, credential)
      self.consumer, self.credential = consumer, credential
      return true
    end,
    find_credential = function(kind, key)
      for i, credential in pairs(credentials) do
        if credential.kind == kind and credential.key == key then
          return credential, i, credential.owner
        end
      end
    end,
    find_consumer = function(name)
      for i, consumer in pairs(consumers) do
        if consumer.id == name or consumer.username == name then
          return consumer, i
        end
      end
    end,
    generation = function() return 1 end,
    raw = function() return spec.groups or "[]" end,
    count = function() return #(spec.upstreams or {}) end,
    entity = function(_, index) return spec.upstreams[index + 1] end,
  }
  return identity(route, function() return package.loaded["moongate.abi.request"] end)
end

local function kong_of(self, spec)
  local function log(level)
    return function(...)
      table.insert(self.logged, level .. ": " .. table.concat({ ... }))
    end
  end
  return {
    ctx = { shared = spec.shared or {} },
    log = { err = log("err"), info = log("info"), set_serialize_value = function(name, value)
      self.values[name] = value
    end },
    client = {
      get_consumer = function() return (spec.consumers or {})[self.consumer] end,
      get_credential = function() return self.credential and (spec.credentials or {})[self.credential] end,
    },
    request = {
      get_body = function() return spec.form, spec.form_error end,
      get_header = function(name) return (self.fields[name:lower()] or {})[1] end,
      get_headers = function() return self.fields end,
      get_raw_body = function() return not spec.body_error and (spec.body or "") or nil, spec.body_error end,
      get_http_version = function() return spec.version or 1.1 end,
      get_path_with_query = function()
        return (spec.path or "/") .. (spec.query and "?" .. spec.query or "")
      end,
      get_query = function() return spec.args or {} end,
      get_query_arg = function(name) return (spec.args or {})[name] end,
    },
    service = { request = { set_body = function(body) self.form = body return true end } },
    response = {
      error = function(status, message, headers)
        self.answer = { status = status, message = message, headers = headers }
        error(ANSWERED)
      end,
      exit = function(status, body, headers)
        self.answer = { status = status, body = body, headers = headers }
        error(ANSWERED)
      end,
    },
  }
end

-- mime knows the standard alphabet only, and says nothing about what is no base64.
local function decode_base64(text, url)
  text = url and text:gsub("-", "+"):gsub("_", "/") or text
  if text:find("[^%w+/=]") then
    return nil
  end
  return mime.unb64(text .. ("="):rep(-#text % 4)) or ""
end

local function encode_base64(s, no_padding, url)
  local text = mime.b64(s) or ""
  text = no_padding and text:gsub("=", "") or text
  return url and text:gsub("+", "-"):gsub("/", "_") or text
end

-- Modules of ours that keep the faked ones; those of moongate.auth too.
local KEEPERS = {
  ["moongate.log.entry"] = true, ["moongate.log.severity"] = true, ["moongate.statsd.sample"] = true,
}

local function forget_modules()
  for name in pairs(package.loaded) do
    if name:find("^moongate%.auth%.") or KEEPERS[name] then
      package.loaded[name] = nil
    end
  end
end

-- One request and a fresh handler. spec: method, path, query, headers {name = value | {lines}}, body, body_error,
-- form, form_error, ip, consumers, credentials {{kind, key, id, owner = index}}, route, service, response ...
function M.new(plugin, spec)
  local self = { logged = {}, values = {}, response = {} }
  _G.kong, _G.ngx = nil, nil
  package.loaded["moongate.abi.request"] = request_of(self, spec)
  package.loaded["moongate.abi.exchange"] = exchange_of(self, spec)
  package.loaded["moongate.abi.route"] = route_of(self, spec)
  package.loaded["moongate.abi.json"] = { decode = cjson.decode }
  package.loaded["moongate.abi.crypto"] = {
    sha256 = function(s) return "sha256 of " .. s end, hex = function(s) return s end,
    sha1 = function(s) return "sha1 of " .. s end,
    hmac = function(name, key, s) return ("hmac-%s of %s by %s"):format(name, s, key) end,
    equal = function(a, b) return a == b end,
    decode_base64 = decode_base64, encode_base64 = encode_base64,
    public_key = function(pem) return pem:match("^key (.+)$") end,
    verify = function(algorithm, key, s, signature) return signature == key .. " signed " .. s end,
  }
  package.loaded["moongate.abi.node"] = {
    now = function() return spec.now or 1700000000 end, worker_pid = function() return 7 end, getenv = function() end,
    worker_id = function() return 0 end, hostname = function() return "host.1" end, mono = function() return 1000 end,
  }
  package.loaded["moongate.abi.response"] = {
    set_header = function(name, value) self.response[name] = value end,
    set_number = function(name, value) self.response[name] = ("%d"):format(value) end,
    add_header = function(name, value)
      self.response[name] = self.response[name] and self.response[name] .. ", " .. value or value
    end,
    clear_header = function(name) self.response[name] = nil end,
    header = function(name) return self.response[name] end,
    source = function() return spec.source end, status = function() return spec.status end,
    bytes_out = function() return spec.bytes_out end,
  }
  rawset(_G, "kong", kong_of(self, spec))
  rawset(_G, "ngx", spec.ngx or {})
  forget_modules()
  package.loaded["kong.plugins." .. plugin .. ".handler"] = nil
  self.handler = require("kong.plugins." .. plugin .. ".handler")
  return self
end

-- Runs a phase; returns the answer given by exit or error, or nil. Other errors go on.
function M.run(self, phase, conf)
  local ok, err = pcall(self.handler[phase], self.handler, conf)
  if not ok and err ~= ANSWERED then
    error(err, 0)
  end
  return self.answer
end

-- What the upstream gets in that field.
function M.sent(self, name)
  local lines = self.fields[name:lower()]
  return lines and table.concat(lines, ", ")
end

return M
