-- The nested error tables a schema returns, as lists and as text.
-- Where the faulty value stands in a file is added by config/problems.lua.
-- Invariant: numbers in a path are 1-based; "@entity" never appears in a path.

local M = {}

local function by_key(a, b)
  if type(a) == type(b) then
    return a < b
  end
  return type(a) == "number"
end

local function sorted_keys(failed)
  local keys = {}
  for key in pairs(failed) do
    keys[#keys + 1] = key
  end
  table.sort(keys, by_key)
  return keys
end

local function add(out, path, message)
  local copy = {}
  for i = 1, #path do
    copy[i] = path[i]
  end
  out[#out + 1] = { path = copy, message = message }
end

local function walk(failed, path, out)
  for _, key in ipairs(sorted_keys(failed)) do
    local item = failed[key]
    if key == "@entity" then
      for _, message in ipairs(type(item) == "table" and item or { item }) do
        add(out, path, message)
      end
    else
      path[#path + 1] = key
      if type(item) == "table" then
        walk(item, path, out)
      else
        add(out, path, item)
      end
      path[#path] = nil
    end
  end
  return out
end

--- List of { path = {...}, message = "..." }.
function M.flatten(failed)
  return walk(failed, {}, {})
end

--- "schema violation (host: required field missing)", or "2 schema violations (...; ...)".
function M.to_string(failed)
  local parts = {}
  for i, item in ipairs(M.flatten(failed)) do
    local path = table.concat(item.path, ".")
    parts[i] = path == "" and item.message or path .. ": " .. item.message
  end
  local count = #parts == 1 and "schema violation (" or #parts .. " schema violations ("
  return count .. table.concat(parts, "; ") .. ")"
end

return M
