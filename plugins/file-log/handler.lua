-- file-log: one JSON line for each request, appended to a file: the record of kong.log.serialize.
-- The line is gathered in C and written by another thread; when the disk is full or slow, lines are
-- dropped and counted and requests do not notice.
-- Not the access log of the node, which is the same record written by the node itself.

local entry = require "moongate.log.entry"
local file = require "moongate.abi.file"

local FileLog = {
  PRIORITY = 9,
  VERSION = "3.14.0",
}

function FileLog:log(conf)
  file.append(conf.path, entry.text(conf), conf.reopen)
end

return FileLog
