-- The C side as Lua sees it: abi.h through the FFI, the C functions of moongate.native, buffers to
-- receive results in. Not an interface for plugins or the PDK: those use the modules beside this one.
-- Invariant: nothing here is kept over a call; results are turned into Lua values at once.

local ffi = require "ffi"
local native = require "moongate.native"

local function declarations()
  local path = native.share() .. "/runtime/abi.h"
  local file, err = io.open(path, "r")
  if not file then
    error("cannot read the contract with C: " .. err)
  end
  local text = file:read("*a")
  file:close()
  return (text:gsub("#pragma once", "", 1))
end

ffi.cdef(declarations())

local C = ffi.C
local state = C.mg_state()

if state.version ~= C.MG_ABI_VERSION or state.size ~= ffi.sizeof("mg_state_t") then
  error(("abi.h says version %d with %d bytes of state, the program was built with %d and %d: "
    .. "install them together"):format(C.MG_ABI_VERSION, ffi.sizeof("mg_state_t"), state.version,
    state.size))
end

local ffi_string, tonumber = ffi.string, tonumber

local _M = {
  C = C,
  native = native,
  state = state,
  ffi = ffi,
  str = ffi.new("mg_str_t[1]"),
  str2 = ffi.new("mg_str_t[1]"),
  num = ffi.new("double[1]"),
  u32 = ffi.new("uint32_t[1]"),
  i32 = ffi.new("int32_t[1]"),
}

-- The bytes of a mg_str_t as a Lua string.
function _M.text(s)
  return ffi_string(s.p, tonumber(s.n))
end

-- What each code means where a function returns nil and a text.
_M.why = {
  [-1] = "not found",
  [-2] = "no request found",
  [-3] = "invalid name or value",
  [-4] = "headers have already been sent",
  [-5] = "no document is open",
  [-6] = "failed",
}

return _M
