-- A stand-in for moongate.abi.exchange: the same functions over a string, in pure Lua.
-- It is NOT the scanner in C; it only shares its contract (strict JSON, no duplicate names).
-- Invariant: set and remove change the bytes of that member and nothing else.

local json_text = require "moongate.ai.json_text"
local span = require "moongate.ai.span"

local _M = {}

-- The value's position in the text, found by walking the members in order.
local function locate(text, name)
  local at, names = span.object(text)
  local from = text:find("{", 1, true) + 1
  for _, each in ipairs(names) do
    local raw = at[each]
    local start = text:find('"', from, true)
    local colon = text:find(":", start + 1, true)
    local value = text:find(raw, colon, true)
    if each == name then
      return start, value, value + #raw - 1
    end
    from = value + #raw
  end
end

-- spec = {body = text, tap = table|nil, too_large = bool}. Calls are recorded in .calls.
function _M.new(spec)
  local self = { body = spec.body or "", calls = {}, wants = {}, success = {}, dropped = {} }
  local x = { state = self }

  local function members()
    return (assert(span.object(self.body), "json_open was not called or failed"))
  end

  function x.read_body(max_bytes)
    self.read = true
    if #self.body > max_bytes then
      return nil, "too large"
    end
    return true
  end
  function x.body_size()
    return #self.body
  end
  function x.json_open()
    assert(self.read, "json_open before read_body")
    local ok, err = span.object(self.body)
    if not ok then
      return nil, err
    end
    self.opened = true
    return true
  end
  function x.json_type(name)
    return span.type(members()[name])
  end
  function x.json_string(name)
    return json_text.unquote(members()[name])
  end
  function x.json_raw(name)
    self.calls["json_raw:" .. name] = true
    return members()[name]
  end
  function x.json_count(name)
    local raw = members()[name]
    local list = span.type(raw) == "array" and span.array(raw)
    return list and #list or nil
  end
  function x.json_set(name, raw)
    assert(raw == "null" or span.type(raw) and span.array("[" .. raw .. "]"), "not JSON: " .. raw)
    self.edits = (self.edits or 0) + 1
    if members()[name] then
      local _, from, to = locate(self.body, name)
      self.body = self.body:sub(1, from - 1) .. raw .. self.body:sub(to + 1)
    else
      local open = self.body:find("{", 1, true)
      local comma = self.body:find("^%s*}", open + 1) and "" or ","
      local last = self.body:find("}%s*$")
      self.body = self.body:sub(1, last - 1) .. comma .. json_text.quote(name) .. ":" .. raw
        .. self.body:sub(last)
    end
    return true
  end
  function x.json_remove(name)
    self.edits = (self.edits or 0) + 1
    local at, names = span.object(self.body)
    local kept = {}
    for _, each in ipairs(names) do
      if each ~= name then
        kept[#kept + 1] = each
        kept[#kept + 1] = at[each]
      end
    end
    self.body = json_text.object(kept)
    return true
  end
  function x.json_member_raw(name, member)
    local inner = members()[name]
    return span.type(inner) == "object" and span.object(inner)[member] or nil
  end
  function x.body_get()
    self.calls.body_get = true
    return self.body
  end
  function x.body_set(text)
    self.body = text
    return true
  end
  function x.set_target(host, port, https)
    self.target = { scheme = https and "https" or "http", host = host, port = port }
    return true
  end
  function x.set_path(path)
    self.path = path
  end
  function x.set_query(query)
    self.query = query
  end
  function x.tap(kind, hide_usage)
    self.tap_kind, self.hide_usage = kind, hide_usage
  end
  function x.on_success_header(name, value)
    self.success[name] = value
  end
  function x.drop_response_header(name)
    self.dropped[name] = true
  end
  function x.want(phase)
    self.wants[phase] = true
  end
  function x.tap_result()
    return spec.tap
  end
  return x
end

return _M
