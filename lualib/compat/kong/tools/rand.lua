-- The name guests know: require "kong.tools.rand": random bytes and text from the system's generator.

local crypto = require("moongate.abi.crypto")
local node = require("moongate.abi.node")

local _M = {}

local RANDOM_STRING_BYTES = 24 -- 32 characters

--- n random bytes.
function _M.get_rand_bytes(n)
  return node.random_bytes(n)
end

--- 32 random letters and digits.
function _M.random_string()
  local text = crypto.encode_base64(node.random_bytes(RANDOM_STRING_BYTES), true)
  return (text:gsub("[+/]", { ["+"] = "A", ["/"] = "b" }))
end

return _M
