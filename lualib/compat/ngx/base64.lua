-- The name guests know: require "ngx.base64": the URL-safe alphabet without padding.

local crypto = require "moongate.abi.crypto"

return {
  encode_base64url = function(text)
    if type(text) ~= "string" then
      return nil, "must provide a string"
    end
    return crypto.encode_base64(text, true, true)
  end,
  decode_base64url = function(text)
    if type(text) ~= "string" then
      return nil, "must provide a string"
    end
    local out = crypto.decode_base64(text, true)
    if not out then
      return nil, "invalid input"
    end
    return out
  end,
}
