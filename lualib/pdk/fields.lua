-- Header fields between the flat form of abi/* (name, value, name, value ...) and the PDK's tables.
-- `side` is abi/request or abi/response. Not the checks of names and types (pdk/checks).

local concat, sort = table.concat, table.sort
local find, gsub, lower = string.find, string.gsub, string.lower
local type, tostring, rawget = type, tostring, rawget

local M = {}

local SENT = "headers have already been sent"

-- X_Foo and X-Foo are x-foo.
local by_name = {
  __index = function(t, key)
    if type(key) == "string" then
      return rawget(t, (gsub(lower(key), "_", "-")))
    end
  end,
}

--- The table of get_headers: lower-case names, repeated ones as arrays.
function M.table(flat)
  local out = {}
  for i = 1, #flat, 2 do
    local name, value = lower(flat[i]), flat[i + 1]
    local known = out[name]
    if known == nil then
      out[name] = value
    elseif type(known) == "table" then
      known[#known + 1] = value
    else
      out[name] = { known, value }
    end
  end
  return setmetatable(out, by_name)
end

--- The name as it stands on the wire: "X_Foo" is asked for as "X-Foo".
function M.wire_name(name)
  if find(name, "_", 1, true) then
    return (gsub(name, "_", "-"))
  end
  return name
end

-- What nginx does with line breaks in a value: they are escaped, never sent.
local function without_breaks(value)
  return (tostring(value):gsub("[\r\n%z]", { ["\r"] = "%0D", ["\n"] = "%0A", ["\0"] = "%00" }))
end

local function write(put, name, value, level)
  local ok, err = put(name, value)
  if ok then
    return
  end
  if err ~= SENT then
    local cleaned = without_breaks(value)
    if cleaned ~= value then
      ok, err = put(name, cleaned)
    end
  end
  if not ok then
    error(err == SENT and err or ('header "%s": %s'):format(name, err), level + 1)
  end
end

local function set_list(side, name, list, level)
  side.clear_header(name)
  for i = 1, #list do
    write(side.add_header, name, list[i], level + 1)
  end
end

--- Sets a field to a checked value, or to an array of values. Raises when the head has been sent.
function M.set(side, name, value, level)
  if type(value) == "table" then
    set_list(side, name, value, level + 1)
    return
  end
  write(side.set_header, name, value, level + 1)
end

--- Adds a field line, or one for each value of an array.
function M.add(side, name, value, level)
  if type(value) ~= "table" then
    write(side.add_header, name, value, level + 1)
    return
  end
  for i = 1, #value do
    write(side.add_header, name, value[i], level + 1)
  end
end

--- The keys of a table of headers in lexicographic order.
function M.sorted_names(headers)
  local names = {}
  for name in pairs(headers) do
    names[#names + 1] = name
  end
  sort(names)
  return names
end

--- One value for fields that cannot be repeated: an array joined by ", ".
function M.single(value)
  return type(value) == "table" and concat(value, ", ") or tostring(value)
end

return M
