-- What a user can do about a schema message: one short sentence, or nil.
-- The messages themselves are Kong's and stay as they are.
-- Invariant: a cure never repeats a value from the file, which may be a secret.

local M = {}

--- How many letters must change to make one word of the other.
local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

M.distance = distance

--- The name of `names` closest to `wanted`, when it is close enough to be a slip of the pen.
function M.closest(wanted, names)
  local best, best_distance = nil, math.max(2, math.floor(#wanted / 3)) + 1
  if #wanted > 64 then
    return nil
  end
  for _, name in ipairs(names) do
    local steps = distance(wanted, name)
    if steps < best_distance then
      best, best_distance = name, steps
    end
  end
  return best
end

local function value_at(raw, keys)
  local value = raw
  for _, key in ipairs(keys) do
    if type(value) ~= "table" then
      return nil
    end
    value = value[key]
  end
  return value
end

local function for_unknown(keys, fields)
  local name = tostring(keys[#keys] or "")
  local near = fields and M.closest(name, fields)
  if near then
    return "did you mean '" .. near .. "'?"
  elseif fields and #fields <= 12 and #fields > 0 then
    return "the fields here are: " .. table.concat(fields, ", ")
  end
  return "remove it, or correct its spelling"
end

local SCOPES = { consumer = true, consumer_group = true, route = true, service = true }

--- The cure for `message` at raw[keys...]. fields: names allowed there, for "unknown field".
function M.find(entry, keys, message, fields)
  local value, name = value_at(entry.raw, keys), tostring(keys[#keys] or "")
  if message == "unknown field" then
    return for_unknown(keys, fields)
  elseif message == "required field missing" and entry.kind == "services" and name == "host" then
    return "add 'host' or 'url'"
  elseif message == "the expressions router is not supported" then
    return "use paths, methods, hosts and headers"
  elseif message == "required field missing" then
    return "add '" .. name .. "'"
  elseif message == "expected a string" and type(value) ~= "table" then
    return "put the value in quotes"
  elseif message == "expected an integer" and type(value) == "number" then
    return "write a whole number"
  elseif message == "expected an integer" or message == "expected a number" then
    return "write the number without quotes"
  elseif message == "expected a boolean" then
    return "write true or false, without quotes"
  elseif message == "expected an array" or message == "expected a set" then
    return "write a list: each item on its own line after '- '"
  elseif message == "value must be null" and SCOPES[name] then
    return "this plugin cannot be bound to a " .. name:gsub("_", " ")
  end
end

return M
