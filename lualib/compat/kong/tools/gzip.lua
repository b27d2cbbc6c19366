-- The name guests know: require "kong.tools.gzip".

local gzip = require("moongate.abi.gzip")

return {
  --- The gzip form of a text, or nil and why.
  deflate_gzip = gzip.deflate,
  --- What a gzip form holds, or nil and why.
  inflate_gzip = gzip.inflate,
}
