-- tcp-log: the record of each request as a line of JSON to a TCP server, over a connection kept open.
-- A server that is away for a short time gets what waits when it is back.

local entry = require "moongate.log.entry"
local queue = require "moongate.queue"
local stream = require "moongate.log.stream"

local TcpLog = {
  PRIORITY = 7,
  VERSION = "3.14.0",
}

-- Kong's schema has no queue; lines that wait for one write go out together.
local QUEUE = { max_batch_size = 64, max_coalescing_delay = 0, max_retry_time = 30, max_retry_delay = 5 }

local function send(conf, lines)
  return stream.tcp({
    host = conf.host, port = conf.port, timeout_ms = conf.timeout, keepalive_ms = conf.keepalive,
    tls = conf.tls, sni = conf.tls_sni, ssl_verify = conf.ssl_verify,
  }, table.concat(lines))
end

function TcpLog:log(conf)
  queue.enqueue(queue.get_plugin_params("tcp-log", conf, nil, QUEUE), send, conf, entry.text(conf) .. "\r\n")
end

return TcpLog
