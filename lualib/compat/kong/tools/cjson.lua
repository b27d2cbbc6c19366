-- The name guests know: require "kong.tools.cjson": JSON in which empty arrays stay arrays.

local json = require("moongate.pdk.json")

return {
  array_mt = json.array_mt,
  encode = json.encode,
  decode_with_array_mt = json.decode,
}
