-- Which lines of the plugins under test ran: a line hook, with the JIT off, for the whole process (the gateway's
-- workers are in it). Not branches.
-- Invariant: a file of a plugin that nobody loaded counts too, with nothing covered.

local jutil = require "jit.util"
local lfs = require "lfs"

local Coverage = {}
Coverage.__index = Coverage

local getinfo = debug.getinfo

local BUNDLED = require("moongate.abi.node").share() .. "/plugins/"

local function is_plugin_file(path)
  return path:sub(1, #BUNDLED) ~= BUNDLED and path:find("/plugins/", 1, true) and path:find("%.lua$")
    and not path:find("_spec%.lua$")
end

-- One file has one name, whatever way it was found.
local function normal(path)
  return (path:gsub("/%./", "/"):gsub("^%./", ""))
end

local function collect_files(dir, out)
  if lfs.attributes(dir, "mode") ~= "directory" then
    return
  end
  for name in lfs.dir(dir) do
    local path = dir .. "/" .. name
    local mode = lfs.attributes(path, "mode")
    if mode == "directory" and name:sub(1, 1) ~= "." then
      collect_files(path, out)
    elseif mode == "file" and is_plugin_file(path) then
      out[normal(path)] = true
    end
  end
end

-- Lines that hold code of a function and of those inside it.
local function add_lines(fn, lines)
  local pc = 1
  while jutil.funcbc(fn, pc) do
    local line = jutil.funcinfo(fn, pc).currentline
    if line and line > 0 then
      lines[line] = true
    end
    pc = pc + 1
  end
  local i = -1
  while true do
    local ok, child = pcall(jutil.funck, fn, i)
    if not ok or child == nil then
      return
    elseif type(child) == "proto" then
      add_lines(child, lines)
    end
    i = i - 1
  end
end

local function lines_of(path)
  local chunk = loadfile(path)
  local lines, out = {}, {}
  if chunk then
    add_lines(chunk, lines)
  end
  for line in pairs(lines) do
    out[#out + 1] = line
  end
  table.sort(out)
  return out
end

-- Begins to count. dirs: those that hold the plugins.
local function start(dirs)
  local self = setmetatable({ dirs = dirs, hits = {} }, Coverage)
  local counters, hits = {}, self.hits -- source -> its table, or false
  jit.off()
  jit.flush()
  debug.sethook(function(_, line)
    local source = getinfo(2, "S").source
    local counts = counters[source]
    if counts == nil then
      local path = source:match("^@(.+)$")
      counts = path and is_plugin_file(path) and {} or false
      if counts then
        path = normal(path)
        counts = hits[path] or counts
        hits[path] = counts
      end
      counters[source] = counts
    end
    if counts then
      counts[line] = (counts[line] or 0) + 1
    end
  end, "l")
  return self
end

local function ranges(lines)
  local out, from, last = {}, nil, nil
  for i = 1, #lines + 1 do
    local line = lines[i]
    if from and line ~= last + 1 then
      out[#out + 1] = from == last and tostring(from) or from .. "-" .. last
      from = line
    end
    from, last = from or line, line
  end
  return table.concat(out, ", ")
end

local function measure(self, path)
  local counts, all, missed = self.hits[path] or {}, lines_of(path), {}
  for _, line in ipairs(all) do
    if not counts[line] then
      missed[#missed + 1] = line
    end
  end
  return { path = path, lines = all, counts = counts, missed = missed }
end

local function write_lcov(files, path)
  local file, err = io.open(path, "w")
  if not file then
    io.stderr:write("moongate test: coverage cannot be written: ", err, "\n")
    return
  end
  for _, f in ipairs(files) do
    file:write("SF:", f.path, "\n")
    for _, line in ipairs(f.lines) do
      file:write("DA:", line, ",", f.counts[line] or 0, "\n")
    end
    file:write("LF:", #f.lines, "\nLH:", #f.lines - #f.missed, "\nend_of_record\n")
  end
  file:close()
end

-- Stops counting, prints the table, writes LCOV into lcov_path (nil: nowhere).
function Coverage.report(self, lcov_path)
  debug.sethook()
  local names, files = {}, {}
  for _, dir in ipairs(self.dirs) do
    collect_files(dir .. "/kong/plugins", names)
    collect_files(dir .. "/plugins", names)
  end
  for path in pairs(self.hits) do
    names[path] = true
  end
  for path in pairs(names) do
    files[#files + 1] = measure(self, path)
  end
  table.sort(files, function(a, b)
    return a.path < b.path
  end)
  io.stdout:write("\nLines covered:\n")
  for _, f in ipairs(files) do
    local total = #f.lines
    local share = total > 0 and 100 * (total - #f.missed) / total or 100
    io.stdout:write(("%5.1f %%  %s%s\n"):format(share, f.path, #f.missed > 0 and "  not: " .. ranges(f.missed) or ""))
  end
  if lcov_path then
    write_lcov(files, lcov_path)
  end
end

return { start = start }
