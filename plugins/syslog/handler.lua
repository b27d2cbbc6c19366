-- syslog: the record of each request as a message to the system's log, through its local socket.
-- How severe a message is depends on the response's status; what is below log_level is not sent.

local entry = require "moongate.log.entry"
local node = require "moongate.abi.node"
local queue = require "moongate.queue"
local severities = require "moongate.log.severity"
local stream = require "moongate.log.stream"

local Syslog = {
  PRIORITY = 4,
  VERSION = "3.14.0",
}

local FACILITIES = {
  kern = 0, user = 1, mail = 2, daemon = 3, auth = 4, syslog = 5, lpr = 6, news = 7, uucp = 8, cron = 9,
  authpriv = 10, ftp = 11, local0 = 16, local1 = 17, local2 = 18, local3 = 19, local4 = 20, local5 = 21,
  local6 = 22, local7 = 23,
}
local SENDER = "kong"
local SOCKET = node.getenv("MOONGATE_SYSLOG_SOCKET") or "/dev/log"
local QUEUE = { max_batch_size = 64, max_coalescing_delay = 0, max_retry_time = 10, max_retry_delay = 2 }

local function send(_, messages)
  return stream.udp({ path = SOCKET }, messages)
end

-- As the C library's syslog() writes it.
local function message(conf, severity, text)
  return ("<%d>%s %s[%d]: %s"):format(FACILITIES[conf.facility] * 8 + severity, os.date("%b %e %H:%M:%S"),
    SENDER, node.worker_pid(), text)
end

function Syslog:log(conf)
  local severity = severities.of(conf)
  if not severity then
    return
  end
  queue.enqueue(queue.get_plugin_params("syslog", conf, nil, QUEUE), send, conf,
    message(conf, severity, entry.text(conf)))
end

return Syslog
