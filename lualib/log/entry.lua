-- What log plugins send of a finished request: its record as JSON text, with the fields that the
-- plugin's `custom_fields_by_lua` compute. Phase: log.
-- Not the record itself (pdk/log_record, C), nor where it goes.
-- Invariant: a field that fails is left out and told; the entry is made without it.

local record = require "moongate.pdk.log_record"
local sandbox = require "moongate.util.sandbox"

local _M = {}

local NGX = { "now", "time", "today", "utctime", "localtime", "http_time", "md5", "crc32_short",
  "encode_base64", "decode_base64", "escape_uri", "unescape_uri", "null" }

-- conf -> its custom fields in the order of their names: {{key=, run=}, ...}.
local compiled = setmetatable({}, { __mode = "k" })

-- What an expression sees of the gateway: only what reads.
local function globals()
  local visible = {
    kong = {
      client = sandbox.readers(kong.client),
      request = sandbox.readers(kong.request),
      response = sandbox.readers(kong.response),
      service = { response = sandbox.readers(kong.service.response) },
      router = sandbox.readers(kong.router),
      node = sandbox.readers(kong.node),
      ip = sandbox.readers(kong.ip),
      plugin = sandbox.readers(kong.plugin),
      ctx = kong.ctx,
      log = kong.log,
      version = kong.version,
      version_num = kong.version_num,
    },
    ngx = {
      var = setmetatable({}, { __metatable = false, __index = function(_, name)
        return ngx.var[name]
      end, __newindex = function()
        error("ngx.var is read-only here", 2)
      end }),
      ctx = setmetatable({}, { __metatable = false, __index = function(_, name)
        return ngx.ctx[name]
      end }),
    },
  }
  for _, name in ipairs(NGX) do
    visible.ngx[name] = ngx[name]
  end
  return visible
end

-- The expressions of a map {name = Lua text}: {{key=, run=}, ...} in the order of their names. What does
-- not compile is told and left out. Compiled once for each map.
function _M.compile(map)
  local fields = compiled[map]
  if fields then
    return fields
  end
  fields = {}
  for key, text in pairs(map) do
    local run, err = sandbox.compile(text, "custom_fields_by_lua." .. key, globals())
    if run then
      fields[#fields + 1] = { key = key, run = run }
    else
      kong.log.err("custom_fields_by_lua.", key, " cannot be compiled: ", err)
    end
  end
  table.sort(fields, function(a, b)
    return a.key < b.key
  end)
  compiled[map] = fields
  return fields
end

local function add_fields(map)
  for _, field in ipairs(_M.compile(map)) do
    local ok, value = pcall(field.run)
    if ok then
      ok, value = pcall(kong.log.set_serialize_value, field.key, value)
    end
    if not ok then
      kong.log.err("custom field '", field.key, "' was left out: ", value)
    end
  end
end

-- The entry's JSON text, without a newline. conf: the plugin's.
function _M.text(conf)
  if conf.custom_fields_by_lua then
    add_fields(conf.custom_fields_by_lua)
  end
  return record.text()
end

return _M
