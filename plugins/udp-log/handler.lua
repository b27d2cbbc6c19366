-- udp-log: the record of each request as one datagram of JSON.
-- UDP tells nobody what is lost on the way; records over 65507 bytes cannot be sent.

local entry = require "moongate.log.entry"
local queue = require "moongate.queue"
local stream = require "moongate.log.stream"

local UdpLog = {
  PRIORITY = 8,
  VERSION = "3.14.0",
}

-- Kong's schema has no queue; datagrams that wait share a socket.
local QUEUE = { max_batch_size = 64, max_coalescing_delay = 0, max_retry_time = 10, max_retry_delay = 2 }

local function send(conf, records)
  return stream.udp({ host = conf.host, port = conf.port, timeout_ms = conf.timeout }, records)
end

function UdpLog:log(conf)
  local text = entry.text(conf)
  if not stream.fits_datagram(text) then
    kong.log.err("a record of ", #text, " bytes does not fit into a datagram; it is lost")
    return
  end
  queue.enqueue(queue.get_plugin_params("udp-log", conf, nil, QUEUE), send, conf, text)
end

return UdpLog
