-- The name guests know: require "lsyslog": the C library's syslog.

local syslog = require("moongate.abi.syslog")

local _M = {
  LOG_EMERG = 0, LOG_ALERT = 1, LOG_CRIT = 2, LOG_ERR = 3, LOG_WARNING = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DEBUG = 7,
}

local FACILITIES = {
  [0] = "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP",
  [16] = "LOCAL0", [17] = "LOCAL1", [18] = "LOCAL2", [19] = "LOCAL3", [20] = "LOCAL4", [21] = "LOCAL5", [22] = "LOCAL6",
  [23] = "LOCAL7",
}

for number, name in pairs(FACILITIES) do
  _M["FACILITY_" .. name] = number * 8
end

--- Begins a log under a sender's name, with a facility (FACILITY_*) for what is written next.
_M.open = syslog.open
--- Writes a message with a severity (LOG_*).
_M.log = syslog.log
_M.close = syslog.close

return _M
