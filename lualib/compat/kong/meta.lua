-- The name guests know: require "kong.meta": the version of Kong whose plugins run here.

local VERSION = { major = 3, minor = 9, patch = 0 }

local function text_of()
  return ("%d.%d.%d"):format(VERSION.major, VERSION.minor, VERSION.patch)
end

return {
  _NAME = "kong",
  _VERSION = text_of(),
  _VERSION_TABLE = setmetatable(VERSION, { __tostring = text_of }),
  _SERVER_TOKENS = "kong/" .. text_of(),
  _DEPENDENCIES = { nginx = {} },
  version = text_of(),
  core_version = text_of(),
}
