-- The name guests know: require "ngx.ssl.clienthello". No Lua runs in the handshake; the server name is known after it.

local request = require "moongate.abi.request"

local M = require("moongate.ngx.missing").module("ngx.ssl.clienthello",
  "get_client_hello_ext get_client_hello_ext_present get_client_hello_ciphers get_supported_versions set_protocols",
  "no Lua runs in the handshake")

function M.get_client_hello_server_name()
  return (select(4, request.tls()))
end

return M
