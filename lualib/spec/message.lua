-- HTTP/1.1 messages over a cosocket, for the client and the fake upstream of specs: strict enough to
-- see mistakes, no more. Not the gateway's own parser (runtime/http).

local _M = {}

local HEADERS = {
  __index = function(t, name)
    local lower = type(name) == "string" and name:lower():gsub("_", "-")
    for key, value in next, t do
      if type(key) == "string" and key:lower() == lower then
        return value
      end
    end
  end,
}

-- A table of fields in which names are found whatever their case.
function _M.headers(t)
  return setmetatable(t or {}, HEADERS)
end

local function add(headers, name, value)
  local key = name
  for known in next, headers do
    if known:lower() == name:lower() then
      key = known
    end
  end
  local have = rawget(headers, key)
  if have == nil then
    headers[key] = value
  elseif type(have) == "table" then
    have[#have + 1] = value
  else
    headers[key] = { have, value }
  end
end

-- The start line and the fields; nil, why. `raw` are the fields as they came, {name, value} each.
function _M.read_head(sock)
  local first, err = sock:receive("*l")
  if not first then
    return nil, err
  end
  local headers, raw = _M.headers(), {}
  while true do
    local line
    line, err = sock:receive("*l")
    if not line then
      return nil, err
    elseif line == "" then
      return first, headers, raw
    end
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    if not name then
      return nil, "bad field line: " .. line
    end
    add(headers, name, value)
    raw[#raw + 1] = { name, value }
  end
end

local function read_chunk(sock)
  local line, err = sock:receive("*l")
  if not line then
    return nil, err
  end
  local size = tonumber(line:match("^%x+"), 16)
  if not size then
    return nil, "bad chunk size: " .. line
  end
  local data = ""
  if size > 0 then
    data, err = sock:receive(size)
    if not data then
      return nil, err
    end
    sock:receive("*l")
  end
  return data
end

local function read_chunks(sock)
  local parts = {}
  while true do
    local data, err = read_chunk(sock)
    if not data then
      return nil, err, table.concat(parts), parts
    elseif data == "" then
      local line
      repeat
        line = sock:receive("*l")
      until not line or line == ""
      return table.concat(parts), nil, nil, parts
    end
    parts[#parts + 1] = data
  end
end

local function coding(headers)
  local value = headers["transfer-encoding"]
  return type(value) == "string" and value:lower() == "chunked"
end

-- The body behind a head: text; or nil, why, what came. `until_close`: without a length it ends with the connection.
-- Of a chunked one the fourth result are the chunks.
function _M.read_body(sock, headers, until_close)
  if coding(headers) then
    return read_chunks(sock)
  end
  local length = tonumber(headers["content-length"])
  if length then
    if length == 0 then
      return ""
    end
    local data, err, partial = sock:receive(length)
    return data, err, partial
  elseif until_close then
    local data, err, partial = sock:receive("*a")
    return data, err, partial
  end
  return ""
end

-- Field lines as text. A value may be a list.
function _M.format_headers(headers)
  local lines, names = {}, {}
  for name in next, headers or {} do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = headers[name]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      lines[#lines + 1] = name .. ": " .. tostring(one) .. "\r\n"
    end
  end
  return table.concat(lines)
end

local function escape(text)
  return (tostring(text):gsub("[^%w%-%._~]", function(c)
    return ("%%%02X"):format(c:byte())
  end))
end

-- {a = 1, b = {2, 3}} -> "a=1&b=2&b=3", in the order of names.
function _M.form(t)
  local names, out = {}, {}
  for name in pairs(t) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = t[name]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      out[#out + 1] = one == true and escape(name) or escape(name) .. "=" .. escape(one)
    end
  end
  return table.concat(out, "&")
end

local function unescape(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex)
    return string.char(tonumber(hex, 16))
  end))
end

-- The other way; repeated names become lists, bare ones true.
function _M.parse_form(text)
  local out = {}
  for pair in (text or ""):gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=(.*)$")
    name, value = unescape(name or pair), value == nil and true or unescape(value)
    local have = out[name]
    if have == nil then
      out[name] = value
    elseif type(have) == "table" then
      have[#have + 1] = value
    else
      out[name] = { have, value }
    end
  end
  return out
end

return _M
