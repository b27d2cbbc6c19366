-- The name guests know: require "kong.pdk.private.rate_limiting": header fields that a rate limiter keeps in the request's
-- ctx in access and sets in header_filter, so that several limiters of a request agree.

local ngx = require("moongate.ngx")

local _M = {}

local KEY = "__rate_limiting_context__"

local function check_name(name)
  if type(name) ~= "string" then
    error("the name of a header field must be a string, not a " .. type(name), 3)
  end
end

--- Keeps a field (its value a string or number) in the ctx; a later value takes its place.
function _M.store_response_header(ctx, name, value)
  check_name(name)
  if type(value) ~= "string" and type(value) ~= "number" then
    error("the value of a header field must be a string or a number, not a " .. type(value), 2)
  end
  local kept = ctx[KEY]
  if not kept then
    kept = {}
    ctx[KEY] = kept
  end
  kept[name] = value
end

--- The value kept under a name, or nil.
function _M.get_stored_response_header(ctx, name)
  check_name(name)
  return ctx[KEY] and ctx[KEY][name]
end

--- Sets all that is kept on the response.
function _M.apply_response_headers(ctx)
  for name, value in pairs(ctx[KEY] or {}) do
    ngx.header[name] = tostring(value)
  end
end

return _M
