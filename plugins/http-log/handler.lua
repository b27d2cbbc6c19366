-- http-log: the record of each request as JSON to an HTTP server, in batches, with retries.
-- Not the queue (lualib/queue), which decides when entries go and when they are given up.
-- Invariant: entries are text already; a batch is never decoded again.

local entry = require "moongate.log.entry"
local http = require "moongate.http.client"
local queue = require "moongate.queue"

local HttpLog = {
  PRIORITY = 12,
  VERSION = "3.14.0",
}

local headers_of = setmetatable({}, { __mode = "k" }) -- conf -> fields of its requests

local function headers(conf)
  local fields = headers_of[conf]
  if not fields then
    fields = { ["Content-Type"] = conf.content_type }
    for name, value in pairs(conf.headers or {}) do
      fields[name] = value
    end
    headers_of[conf] = fields
  end
  return fields
end

-- One object, or an array where batches may have several.
local function body_of(conf, entries)
  if #entries == 1 and queue.get_plugin_params("http-log", conf).max_batch_size == 1 then
    return entries[1]
  end
  return "[" .. table.concat(entries, ",") .. "]"
end

local function send(conf, entries)
  local answer, err = http.request({
    url = conf.http_endpoint, method = conf.method, headers = headers(conf), body = body_of(conf, entries),
    timeout_ms = conf.timeout, keepalive = conf.keepalive, ssl_verify = conf.ssl_verify,
  })
  if not answer then
    return nil, err
  elseif answer.status < 200 or answer.status > 299 then
    return nil, "request to " .. conf.http_endpoint:gsub("//[^/@]*@", "//") .. " returned HTTP status code "
      .. answer.status
  end
  return true
end

function HttpLog:log(conf)
  queue.enqueue(queue.get_plugin_params("http-log", conf), send, conf, entry.text(conf))
end

return HttpLog
