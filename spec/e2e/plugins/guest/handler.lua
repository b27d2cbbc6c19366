-- A plugin as people write them for Kong: only names that Kong and OpenResty have. For guest_plugin_spec.lua.

local constants = require("kong.constants")
local kong_meta = require("kong.meta")
local Queue = require("kong.tools.queue")
local sandbox = require("kong.tools.sandbox")
local utils = require("kong.tools.utils")
local cjson = require("cjson.safe")

local kong, ngx = kong, ngx

local Guest = {
  PRIORITY = 5,
  VERSION = kong_meta.version,
}

local made = 0

local function make(key)
  made = made + 1
  kong.log.notice("making ", key)
  ngx.sleep(key == "left" and 1 or 0.1) -- long enough for its client to leave
  return { key = key, number = made }
end

local function deliver(_, entries)
  for _, entry in ipairs(entries) do
    kong.log.notice("delivered ", entry.request.uri)
  end
  return true
end

function Guest:init_worker()
  kong.log.notice("started ", utils.is_valid_uuid(utils.uuid()))
end

function Guest:access()
  local key = kong.request.get_header("X-Key") or "none"
  local value = assert(kong.cache:get(key, { ttl = 60 }, make, key))
  kong.ctx.plugin.value = value
  local path = sandbox.sandbox("return kong.request.get_path()", { env = { kong = kong } })()
  kong.service.request.set_header(constants.HEADERS.CONSUMER_ID, path)
  kong.response.set_header("X-Json", cjson.encode({ list = cjson.empty_array, path = path }))
end

function Guest:header_filter()
  ngx.header["X-Two"] = { "1", "2" }
  kong.response.set_header("X-Number", kong.ctx.plugin.value.number)
  kong.response.clear_header("Content-Length")
end

function Guest:body_filter()
  local body = kong.response.get_raw_body()
  if body then
    kong.response.set_raw_body(body:upper())
  end
end

function Guest:log(conf)
  local queue = Queue.get_plugin_params("guest", conf)
  assert(Queue.enqueue(queue, deliver, conf, kong.log.serialize()))
end

return Guest
