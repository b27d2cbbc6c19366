-- loggly: the record of each request as a syslog message (RFC 5424) to Loggly, over UDP.
-- How severe a message is depends on the response's status; what is below log_level is not sent.

local entry = require "moongate.log.entry"
local node = require "moongate.abi.node"
local queue = require "moongate.queue"
local severities = require "moongate.log.severity"
local stream = require "moongate.log.stream"

local Loggly = {
  PRIORITY = 6,
  VERSION = "3.14.0",
}

local FACILITY_USER = 8
local QUEUE = { max_batch_size = 64, max_coalescing_delay = 0, max_retry_time = 10, max_retry_delay = 2 }

local function send(conf, messages)
  return stream.udp({ host = conf.host, port = conf.port, timeout_ms = conf.timeout }, messages)
end

local function message(conf, severity, text)
  local tags = {}
  for i, tag in ipairs(conf.tags) do
    tags[i] = 'tag="' .. tag .. '"'
  end
  return ("<%d>1 %s %s kong - - [%s@41058 %s] %s"):format(FACILITY_USER + severity,
    os.date("!%Y-%m-%dT%H:%M:%SZ"), node.hostname(), conf.key, table.concat(tags, " "), text)
end

function Loggly:log(conf)
  local severity = severities.of(conf)
  if not severity then
    return
  end
  local text = message(conf, severity, entry.text(conf))
  if not stream.fits_datagram(text) then
    kong.log.err("a record of ", #text, " bytes does not fit into a datagram; it is lost")
    return
  end
  queue.enqueue(queue.get_plugin_params("loggly", conf, nil, QUEUE), send, conf, text)
end

return Loggly
