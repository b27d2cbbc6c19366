-- The C library's syslog, for what guests know as lsyslog. Writes to the local socket of the system's log; does not wait
-- for it (a full socket loses the message, as the C library does).
-- Invariant: the name given to openlog lives as long as the log is open.

local ffi = require("ffi")

ffi.cdef [[
void openlog(const char *ident, int option, int facility);
void syslog(int priority, const char *format, ...);
void closelog(void);
]]

local LOG_PID = 1

local _M = {}

local ident -- openlog keeps the pointer

--- Begins a log under a sender's name, with the facility of what is written next.
function _M.open(name, facility)
  ident = ffi.new("char[?]", #name + 1, name)
  ffi.C.openlog(ident, LOG_PID, facility or 8)
end

function _M.log(severity, text)
  ffi.C.syslog(severity, "%s", tostring(text))
end

function _M.close()
  ffi.C.closelog()
  ident = nil
end

return _M
