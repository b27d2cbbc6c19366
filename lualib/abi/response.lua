-- The response to the client: its head (also before there is one: changes are recorded), answers
-- of the gateway's own, and responses streamed by a plugin.
-- exit and error never return where the chain may wait (access, timers of a request do not exist);
-- in header_filter they return.

local c = require "moongate.abi.c"
local headers = require "moongate.abi.headers"
local request = require "moongate.abi.request"

local C, native = c.C, c.native
local why = c.why

local _M = {}

_M.status = request.num_of(C.MG_STATUS)
_M.head_sent = request.bool_of(C.MG_HEAD_SENT)
_M.bytes_out = request.num_of(C.MG_BYTES_OUT)
-- In log, and at the last chunk in body_filter: nothing of the response broke off or was cut, as far as it has come.
_M.whole = request.bool_of(C.MG_WHOLE)

-- Makes the status another one, before the head is sent. true, or nil and why.
function _M.set_status(status)
  local code = C.mg_status_set(status)
  if code == 0 then
    return true
  end
  return nil, why[code]
end

_M.header = headers.getter(C.MG_RESPONSE)
_M.headers = headers.lister(C.MG_RESPONSE)
_M.recorded = headers.recorded -- what plugins want in a response that is not there yet
_M.set_header = headers.setter(C.MG_RESPONSE)
_M.set_number = headers.number_setter(C.MG_RESPONSE)
_M.add_header = headers.adder(C.MG_RESPONSE)
_M.clear_header = headers.clearer(C.MG_RESPONSE)

local SOURCES = { [0] = nil, "exit", "error", "service" }
local source_of = request.num_of(C.MG_SOURCE)

-- "exit", "error", "service", or nil while nobody has answered.
function _M.source()
  return SOURCES[source_of()]
end

-- The whole body of a buffered response, in the response phase.
_M.collected = native.collected
_M.set_collected = native.set_collected

-- Responds and never returns: exit(status[, body[, content_type]]).
_M.exit = native.exit
-- The gateway's own error body in the form the client accepts: error(status[, message]).
_M.error = native.error
-- Ends the chain normally at once (ngx.exit(ngx.OK)): never returns.
_M.stop = native.stop

-- A response made in pieces. Each: true, or nil and why; none returns once the client has gone.
_M.begin = native.begin
_M.print = native.print
_M.flush = native.flush
-- The client's connection itself: a socket as of abi/socket, already connected; nil and why. The gateway writes nothing after.
_M.raw_socket = native.raw_socket
_M.finish = native.finish

-- In body_filter: the chunk and whether it is the last one; what it becomes (nil, "": nothing).
_M.chunk = native.chunk
_M.set_chunk = native.set_chunk

return _M
