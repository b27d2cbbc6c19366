-- A value as readable Lua text with sorted keys, for kong.log.inspect. Pure. Cycles and great depth are cut.

local rep = string.rep
local concat, sort = table.concat, table.sort

local MAX_DEPTH = 8

local function key_text(key)
  if type(key) == "string" and key:match("^[%a_][%w_]*$") then
    return key
  end
  return "[" .. (type(key) == "string" and ("%q"):format(key) or tostring(key)) .. "]"
end

local function by_type_and_text(a, b)
  if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then
    return a < b
  end
  return type(a) .. tostring(a) < type(b) .. tostring(b)
end

local write

local function write_table(out, value, depth, seen)
  if seen[value] then
    out[#out + 1] = "<cycle>"
    return
  elseif depth > MAX_DEPTH then
    out[#out + 1] = "{...}"
    return
  end
  seen[value] = true
  local keys = {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  sort(keys, by_type_and_text)
  out[#out + 1] = "{"
  for i, key in ipairs(keys) do
    out[#out + 1] = (i > 1 and "," or "") .. "\n" .. rep("  ", depth)
    if key ~= i then
      out[#out + 1] = key_text(key) .. " = "
    end
    write(out, value[key], depth + 1, seen)
  end
  out[#out + 1] = #keys > 0 and "\n" .. rep("  ", depth - 1) .. "}" or "}"
  seen[value] = nil
end

function write(out, value, depth, seen)
  if type(value) == "table" then
    write_table(out, value, depth, seen)
  elseif type(value) == "string" then
    out[#out + 1] = ("%q"):format(value)
  else
    out[#out + 1] = tostring(value)
  end
end

return function(value)
  local out = {}
  write(out, value, 1, {})
  return concat(out)
end
