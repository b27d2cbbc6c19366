-- Metrics in shared memory: a series is found by name and labels once, then a handle adds to it.

local c = require "moongate.abi.c"

local C, native = c.C, c.native

local _M = {}

-- Handles of series, made on first use; labels is `a="b",c="d"` (see label) or "".
_M.counter = native.stat_counter     -- counter(name, labels, help)
_M.gauge = native.stat_gauge
_M.histogram = native.stat_histogram -- histogram(name, labels, help, {bounds})

-- `name="value"` with the value escaped.
_M.label = native.stat_label

function _M.add(handle, by)
  return C.mg_stat_add(handle, by or 1)
end

function _M.set(handle, value)
  return C.mg_stat_set(handle, value)
end

function _M.observe(handle, value)
  return C.mg_stat_observe(handle, value)
end

return _M
