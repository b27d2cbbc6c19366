-- Collects what is wrong with a set of configuration files, with file, line, column and path.
-- What is wrong is found elsewhere; this module only knows where things stand.
-- Invariant: a problem always names a file and a path; line and column as exactly as known.

local cures = require("moongate.config.cures")

local Problems = {}
Problems.__index = Problems

function Problems.new()
  return setmetatable({ list = {}, errors = 0 }, Problems)
end

local function join(path, key)
  if type(key) == "number" then
    return path .. "[" .. (key - 1) .. "]"
  elseif path == "" then
    return tostring(key)
  end
  return path .. "." .. tostring(key)
end

--- "services[0].routes[1]" for an entry of the tree.
function Problems.entry_path(entry)
  local base = entry.parent and Problems.entry_path(entry.parent) .. "." or ""
  local path = base .. entry.container
  return entry.index and path .. "[" .. (entry.index - 1) .. "]" or path
end

function Problems.path_text(base, keys)
  local path = base
  for _, key in ipairs(keys) do
    path = join(path, key)
  end
  return path
end

--- Position {line, column} of raw[keys...] as far down as it is known, else `fallback`.
function Problems.locate(file, raw, keys, fallback)
  local value, found = raw, fallback
  for i, key in ipairs(keys) do
    local known = type(value) == "table" and file.positions[value]
    local position = known and (known[key] or (i == 1 and known.url))
    if not position then
      break
    end
    found, value = position, value[key]
  end
  return found
end

function Problems:add(problem)
  problem.severity = problem.severity or "error"
  problem.order = #self.list + 1
  self.list[problem.order] = problem
  if problem.severity == "error" then
    self.errors = self.errors + 1
  end
end

--- Adds a problem of `entry` at the field path `keys`; extra = {cure=, severity=}.
function Problems:at(entry, keys, message, extra)
  local position = Problems.locate(entry.file, entry.raw, keys, entry.position)
  local file = position and position.file or entry.file
  extra = extra or {}
  self:add({
    severity = extra.severity, file = file.name, file_index = file.index,
    line = position and file.line_of(position[1]), column = position and position[2],
    path = Problems.path_text(Problems.entry_path(entry), keys), message = message,
    cure = extra.cure or cures.find(entry, keys, message, extra.fields),
    entry = entry, keys = keys,
  })
end

--- Adds a problem of a whole file.
function Problems:in_file(file, message, extra)
  extra = extra or {}
  self:add({
    severity = extra.severity, file = file.name, file_index = file.index, line = extra.line,
    column = extra.column, path = extra.path or "", message = message, cure = extra.cure,
  })
end

--- "kong.yaml:12", for messages that name a second place.
function Problems.place(entry, keys)
  local position = Problems.locate(entry.file, entry.raw, keys or {}, entry.position)
  local file = position and position.file or entry.file
  return position and file.name .. ":" .. file.line_of(position[1])
    or file.name .. " (" .. Problems.entry_path(entry) .. ")"
end

local function earlier(a, b)
  if a.file_index ~= b.file_index then
    return a.file_index < b.file_index
  elseif (a.line or 0) ~= (b.line or 0) then
    return (a.line or 0) < (b.line or 0)
  elseif (a.column or 0) ~= (b.column or 0) then
    return (a.column or 0) < (b.column or 0)
  end
  return a.order < b.order
end

--- The list, by file, line and column.
function Problems:sorted()
  table.sort(self.list, earlier)
  for _, problem in ipairs(self.list) do
    problem.order, problem.file_index = nil, nil
  end
  return self.list
end

--- "kong.yaml:12:9: services[0].port: expected an integer (cure)"
function Problems.format(problem)
  local parts = { problem.file }
  if problem.line then
    parts[#parts + 1] = tostring(problem.line)
    parts[#parts + 1] = problem.column and tostring(problem.column)
  end
  local text = table.concat(parts, ":") .. ": "
  if problem.severity == "warning" then
    text = text .. "warning: "
  end
  if problem.path and problem.path ~= "" then
    text = text .. problem.path .. ": "
  end
  text = text .. problem.message
  if problem.cure then
    text = text .. " (" .. problem.cure .. ")"
  end
  return (text:gsub("%s*\n%s*", " "))
end

return Problems
