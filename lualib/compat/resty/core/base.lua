-- The name guests know: require "resty.core.base": scratch buffers, table helpers, codes.

local strbuf = require "moongate.abi.strbuf"

local M = {
  version = "0.1.28",
  get_string_buf = strbuf.get_string_buf,
  get_string_buf_size = strbuf.get_string_buf_size,
  get_size_ptr = strbuf.get_size_ptr,
  get_errmsg_ptr = strbuf.get_errmsg_ptr,
  new_tab = require "table.new",
  clear_tab = require "table.clear",
  FFI_OK = 0, FFI_NO_REQ_CTX = -100, FFI_BAD_CONTEXT = -101, FFI_ERROR = -1, FFI_AGAIN = -2,
  FFI_BUSY = -3, FFI_DONE = -4, FFI_DECLINED = -5,
}

function M.allows_subsystem() end

function M.get_request()
  return nil
end

return M
