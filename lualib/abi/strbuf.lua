-- Scratch memory for libraries that call C through the FFI (resty.core.base's helpers).
-- Invariant: what get_string_buf gives is valid until the next call of it.

local c = require "moongate.abi.c"

local ffi = c.ffi

local STEP = 4096

local size = STEP
local buffer = ffi.new("unsigned char[?]", size)
local size_ptr = ffi.new("size_t[1]")
local error_ptr = ffi.new("char *[1]")

local _M = {}

-- At least n bytes.
function _M.get_string_buf(n, must_alloc)
  if n > STEP or must_alloc then
    return ffi.new("unsigned char[?]", n)
  end
  return buffer
end

function _M.get_string_buf_size()
  return size
end

function _M.get_size_ptr()
  return size_ptr
end

function _M.get_errmsg_ptr()
  return error_ptr
end

return _M
