-- Values with templates, "Bearer $(headers.token)": Lua expressions in $(...), sandboxed, over the
-- request as the client sent it (headers, query_params, uri_captures) and kong.ctx.shared (shared).
-- Not the rules that use them (transform/rules).
-- Invariant: `now` is set only while render runs, which cannot wait; a scope belongs to one request.

local sandbox = require "moongate.util.sandbox"

local find, match, sub = string.find, string.match, string.sub
local concat, tostring = table.concat, tostring

local _M = {}

local now -- the scope that is rendered

local function view(name)
  return setmetatable({}, {
    __index = function(_, key)
      local source = now[name]
      return source and source[key]
    end,
    __newindex = function()
      error("templates change nothing", 2)
    end,
    __metatable = false,
  })
end

local NAMES = { headers = view("headers"), query_params = view("query_params"),
  uri_captures = view("uri_captures"), shared = view("shared") }

-- A value: the text itself when it has no template, else an array of texts and functions.
-- nil, why when an expression is no Lua.
function _M.compile(text)
  if not find(text, "$(", 1, true) then
    return text
  end
  local parts, at = {}, 1
  while true do
    local from = find(text, "$(", at, true)
    if not from then
      break
    end
    local expression, after = match(text, "^(%b())()", from + 1)
    if not expression then
      return nil, "unfinished $( in '" .. text .. "'"
    end
    local fn, err = sandbox.compile("return " .. expression, "template", NAMES)
    if not fn then
      return nil, err
    end
    if from > at then
      parts[#parts + 1] = sub(text, at, from - 1)
    end
    parts[#parts + 1] = fn
    at = after
  end
  if at <= #text then
    parts[#parts + 1] = sub(text, at)
  end
  return parts
end

-- The text of a compiled value in a scope: {headers=, query_params=, uri_captures=, shared=}. What is
-- nil leaves nothing. Raises what an expression raises.
function _M.render(value, scope)
  if type(value) ~= "table" then
    return value
  end
  local out = {}
  now = scope
  for i, part in ipairs(value) do
    local text = part
    if type(part) == "function" then
      text = part()
    end
    out[i] = text == nil and "" or tostring(text)
  end
  now = nil
  return concat(out)
end

return _M
