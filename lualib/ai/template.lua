-- Resolves $(headers.x), $(uri_captures.x) and $(query_params.x) in configured strings.
-- It is NOT prompt templating, and knows no `kong`: the caller hands in the lookups.
-- Invariant: a value without "$(" is returned as it is, and costs one find.

local _M = {}

local SOURCES = { headers = true, uri_captures = true, query_params = true }

-- Does the value hold an expression?
function _M.is_template(value)
  return type(value) == "string" and value:find("$(", 1, true) ~= nil
end

local function look_up(expression, field, lookup)
  local source, key = expression:match("^([%w_]+)%.([^.]+)$")
  if not source or not SOURCES[source] then
    return nil, "cannot parse expression for field '" .. field .. "'"
  end
  local value = lookup[source](key)
  if type(value) == "table" then
    value = value[1]
  end
  if type(value) ~= "string" or value == "" then
    return nil, source .. " key " .. key .. " was not provided"
  end
  return value
end

-- The value with each expression replaced. `lookup` has a function(name) -> string|nil for
-- headers, uri_captures and query_params; `accept(value)` may refuse what a client sent.
-- nil, error (the text for the client) otherwise.
function _M.resolve(value, lookup, accept)
  if not _M.is_template(value) then
    return value
  end
  local out, from = {}, 1
  while true do
    local at, stop, expression = value:find("%$%((.-)%)", from)
    if not at then
      break
    end
    local found, err = look_up(expression, value, lookup)
    if not found then
      return nil, err
    end
    if accept and not accept(found) then
      return nil, "value of '" .. value:sub(at, stop) .. "' holds characters not allowed here"
    end
    out[#out + 1] = value:sub(from, at - 1)
    out[#out + 1] = found
    from = stop + 1
  end
  if from == 1 then
    return nil, "cannot parse expression for field '" .. value .. "'"
  end
  out[#out + 1] = value:sub(from)
  return table.concat(out)
end

return _M
