-- The name guests know: require "cjson.safe": as cjson, but nil and the error instead of raising.

local cjson = require "cjson"
local raw = require "moongate.cjson.safe"

local function encode(value)
  local ok, text = pcall(cjson.encode, value)
  if ok then
    return text
  end
  return nil, text
end

local M = cjson.extend(setmetatable({}, { __index = raw }), encode, raw.decode)

M.new = function()
  local fresh = raw.new()
  return cjson.extend(setmetatable({}, { __index = fresh }), encode, fresh.decode)
end

return M
