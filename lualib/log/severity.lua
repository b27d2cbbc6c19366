-- How severe a request's record is, by its response's status, for the plugins that speak syslog. Not how it is sent.

local response = require "moongate.abi.response"

local _M = {}

-- RFC 5424 6.2.1, by the names of Kong's configurations.
local NUMBERS = {
  emerg = 0, alert = 1, crit = 2, err = 3, warning = 4, notice = 5, info = 6, debug = 7,
}

local function name_of(conf)
  local status = response.status() or 500
  if status >= 500 then
    return conf.server_errors_severity
  elseif status >= 400 then
    return conf.client_errors_severity
  end
  return conf.successful_severity
end

--- The number of this request's severity, or nil: it is less than conf.log_level, nothing is sent.
function _M.of(conf)
  local severity = NUMBERS[name_of(conf)]
  return severity <= NUMBERS[conf.log_level] and severity or nil
end

return _M
