-- Configuration of the compat plugin: fields whose checks use what Kong gives its schemas. For spec/e2e/compat_spec.lua.

local is_regex = require("kong.db.schema").validators.is_regex
local validate_header_name = require("kong.tools.http").validate_header_name
local sha256_hex = require("kong.tools.sha256").sha256_hex
local typedefs = require("kong.db.schema.typedefs")

local function known_dictionary(name)
  if not ngx.shared[name] then
    return nil, "no such dictionary: " .. name
  end
  return true
end

local function raises_if_asked(text)
  if text == "raise" then
    error("raised by a validator")
  end
  return ngx.re.match(text, "^[a-z]+$", "jo") and true or nil, "small letters only"
end

local function needs_worker(text)
  return ngx.var[text] == nil
end

return {
  name = "compat",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = { type = "record", fields = {
      { pattern = { type = "string", default = "^a+$", custom_validator = is_regex } },
      { field_name = { type = "string", default = "X-A", custom_validator = validate_header_name } },
      { dictionary = { type = "string", custom_validator = known_dictionary } },
      { text = { type = "string", custom_validator = raises_if_asked } },
      { variable = { type = "string", custom_validator = needs_worker } },
      { digest = { type = "string", default = sha256_hex(ngx.encode_base64(kong.version)) } },
      { nested = { type = "record", fields = {
        { depth = { type = "integer", default = 7 } },
        { deeper = { type = "record", fields = { { depth = { type = "integer", default = 8 } } } } },
        { absent = { type = "record", required = false, fields = { { depth = { type = "integer", default = 9 } } } } },
      } } },
    } } },
  },
}
