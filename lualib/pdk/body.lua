-- Bodies as tables, by media type, for kong.request, kong.service.request and kong.service.response.
-- Where a raw body comes from is the caller's matter.

local exchange = require("moongate.abi.exchange")
local args = require("moongate.pdk.args")
local json = require("moongate.pdk.json")
local multipart = require("moongate.pdk.multipart")

local find, lower = string.find, string.lower

local FORM, JSON, MULTIPART =
  "application/x-www-form-urlencoded", "application/json", "multipart/form-data"

local M = { FORM = FORM, JSON = JSON, MULTIPART = MULTIPART }

--- The known media type that a Content-Type names, or nil.
function M.kind(content_type)
  local text = lower(content_type)
  for _, kind in ipairs({ FORM, JSON, MULTIPART }) do
    if find(text, kind, 1, true) then
      return kind
    end
  end
end

--- The request's body as it goes upstream, waiting for it: a string, or nil and why.
function M.raw()
  if not exchange.body_complete() then
    local ok, err = exchange.read_body()
    if not ok then
      return nil, "cannot read the request body: " .. tostring(err)
    end
  end
  return exchange.body_get()
end

local READERS = {
  [FORM] = function(raw, _, max)
    return args.decode(raw, max), nil, FORM
  end,
  [JSON] = function(raw)
    local value = json.decode(raw)
    if type(value) ~= "table" then
      return nil, "invalid json body", JSON
    end
    return value, nil, JSON
  end,
  [MULTIPART] = function(raw, content_type)
    local boundary = multipart.boundary(content_type)
    if not boundary then
      return nil, "missing boundary in the content type", MULTIPART
    end
    return multipart.decode(raw, boundary), nil, MULTIPART
  end,
}

--- The table behind a body: table, nil, mime; or nil, why, mime. get_raw() gives string | nil, why.
-- received_type: the Content-Type received, for its boundary.
function M.read(content_type, max_args, get_raw, received_type)
  local kind = M.kind(content_type)
  if not kind then
    return nil, "unsupported content type '" .. content_type .. "'", content_type
  end
  local raw, err = get_raw()
  if not raw then
    return nil, err, kind
  end
  local with_boundary = find(content_type, "boundary", 1, true) and content_type
    or received_type or content_type
  return READERS[kind](raw, with_boundary, max_args)
end

local WRITERS = {
  [FORM] = function(value, content_type)
    local text, err = args.encode(value)
    return text, err or content_type
  end,
  [JSON] = function(value, content_type)
    return json.encode(value), content_type
  end,
  [MULTIPART] = function(value, content_type)
    local boundary = multipart.boundary(content_type)
    if not boundary then
      boundary = multipart.new_boundary()
      content_type = content_type .. "; boundary=" .. boundary
    end
    local text, err = multipart.encode(value, boundary)
    return text, err or content_type
  end,
}

--- Text of a table by media type, and the Content-Type to send; or nil and why.
function M.write(value, content_type)
  local kind = M.kind(content_type)
  if not kind then
    return nil, "unsupported content type '" .. content_type .. "'"
  end
  return WRITERS[kind](value, content_type)
end

return M
