-- file-log: one JSON line for each request, appended to a file: the record of kong.log.serialize.
-- The line is gathered in C and written by another thread; when the disk is full or slow, lines are
-- dropped and counted and requests do not notice.
-- Not the access log of the node, which is the same record without custom fields of built-in names.

local file = require "moongate.abi.file"
local record = require "moongate.pdk.log_record"
local sandbox = require "moongate.util.sandbox"

local kong = kong
local ngx = ngx

local FileLog = {
  PRIORITY = 9,
  VERSION = "3.14.0",
}

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

local function compile(conf)
  local fields = {}
  for key, text in pairs(conf.custom_fields_by_lua) do
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
  compiled[conf] = fields
  return fields
end

-- A field that fails is left out; the line is written without it.
local function add_fields(conf)
  for _, field in ipairs(compiled[conf] or compile(conf)) do
    local ok, value = pcall(field.run)
    if ok then
      ok, value = pcall(kong.log.set_serialize_value, field.key, value)
    end
    if not ok then
      kong.log.err("custom field '", field.key, "' was left out: ", value)
    end
  end
end

function FileLog:log(conf)
  if conf.custom_fields_by_lua then
    add_fields(conf)
  end
  file.append(conf.path, record.text(), conf.reopen)
end

return FileLog
