-- The Authorization value of hmac-auth, `hmac username="...", algorithm="...", headers="...", signature="..."`:
-- taken apart, and the text that was signed. Pure.
-- Not the digests, nor which headers must be signed (plugins/hmac-auth).

local concat, find, gmatch, lower, match = table.concat, string.find, string.gmatch, string.lower, string.match

local _M = {}

local NAMES = { username = true, algorithm = true, headers = true, signature = true }

local function words(text)
  local out = {}
  for word in gmatch(text, "%S+") do
    out[#out + 1] = word
  end
  return out
end

-- {name = value} of `name="value", ...` from byte `at`; nil when it is no such list.
local function parameters(value, at)
  local out = {}
  while true do
    local _, last, name, text = find(value, '^%s*(%a+)%s*=%s*"([^"]*)"%s*', at)
    if not last or not NAMES[name] or out[name] or text == "" then
      return nil
    end
    out[name] = text
    if last == #value then
      return out
    elseif value:sub(last + 1, last + 1) ~= "," then
      return nil
    end
    at = last + 2
  end
end

--- {username, algorithm, headers = array of names, signature = base64}, all there; or nil when the
-- value holds no such credentials.
function _M.parse(value)
  local at = match(value, "^%s*[Hh][Mm][Aa][Cc]%s+()")
  local out = at and parameters(value, at)
  if not out or not (out.username and out.algorithm and out.headers and out.signature) then
    return nil
  end
  out.headers = words(out.headers)
  return out
end

--- Is the name among the signed headers, whatever its case?
function _M.signs(credentials, name)
  name = lower(name)
  for i = 1, #credentials.headers do
    if lower(credentials.headers[i]) == name then
      return true
    end
  end
  return false
end

-- The line that stands for one name.
local function line(name, source)
  if lower(name) == "request-line" then
    return ("%s %s HTTP/%.1f"):format(source.method, source.target, source.version)
  elseif lower(name) == "@request-target" then
    return name .. ": " .. lower(source.method) .. " " .. source.target
  end
  local value = source.header(name)
  return value and name .. ": " .. value or name .. ":"
end

--- The text to sign. source: {method, target = path and query as sent, version = 1.1,
-- header = function(name) -> value or nil}.
function _M.text(credentials, source)
  local lines = {}
  for i = 1, #credentials.headers do
    lines[i] = line(credentials.headers[i], source)
  end
  return concat(lines, "\n")
end

return _M
