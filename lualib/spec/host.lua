-- What the harness's files share: C's table of functions (runtime/lua/program.c), the directories that
-- hold the plugins under test, things to close when a spec file ends.
-- Not an interface for specs: moongate.spec. Invariant: one process runs one suite.

local lfs = require "lfs"

local PLACES = { "/kong/plugins/", "/plugins/", "/" }

local _M = {
  program = nil,       -- set by moongate.cli.test
  plugin_dirs = {},    -- directories that hold kong/plugins/NAME, plugins/NAME or NAME
  closers = {},        -- functions, run last to first
}

local function readable(path)
  local file = io.open(path, "r")
  if file then
    file:close()
    return true
  end
end

-- Path of a plugin's module ("hello.handler"), or nil and where it was looked for.
function _M.find_plugin_module(name)
  local stem, tried = name:gsub("%.", "/"), {}
  for _, dir in ipairs(_M.plugin_dirs) do
    for _, place in ipairs(PLACES) do
      for _, tail in ipairs({ ".lua", "/init.lua" }) do
        local path = dir .. place .. stem .. tail
        if readable(path) then
          return path
        end
        tried[#tried + 1] = "\n\tno file '" .. path .. "'"
      end
    end
  end
  return nil, table.concat(tried)
end

local function entries(dir)
  local out = {}
  if lfs.attributes(dir, "mode") == "directory" then
    for name in lfs.dir(dir) do
      out[#out + 1] = name
    end
  end
  table.sort(out)
  return out
end

-- What the plugins under test declare in daos.lua: { plugin =, daos = or err = }.
function _M.plugin_daos()
  local rows = {}
  for _, dir in ipairs(_M.plugin_dirs) do
    for _, place in ipairs(PLACES) do
      for _, name in ipairs(entries(dir .. place)) do
        local files = dir .. place .. name
        if readable(files .. "/daos.lua") and readable(files .. "/schema.lua") then
          local ok, daos = pcall(require, "kong.plugins." .. name .. ".daos")
          rows[#rows + 1] = { plugin = name, daos = ok and daos or nil, err = not ok and tostring(daos) or nil }
        end
      end
    end
  end
  return rows
end

-- Adds a directory of plugins (once).
function _M.add_plugin_dir(dir)
  for _, known in ipairs(_M.plugin_dirs) do
    if known == dir then
      return
    end
  end
  table.insert(_M.plugin_dirs, dir)
end

-- Lets require find the plugins under test before the bundled ones.
function _M.install_search()
  table.insert(package.loaders, 2, function(name)
    local rest = name:match("^kong%.plugins%.(.+)$") or name:match("^moongate%.plugins%.(.+)$")
    if not rest then
      return nil
    end
    local path, tried = _M.find_plugin_module(rest)
    return path and assert(loadfile(path)) or tried
  end)
end

-- Runs fn when the spec file that is under way ends (or when cancelled: fn is forgotten).
function _M.on_end(fn)
  table.insert(_M.closers, fn)
end

function _M.close_all()
  local first
  while #_M.closers > 0 do
    local ok, err = pcall(table.remove(_M.closers))
    first = first or not ok and err
  end
  return first
end

-- A path in the process's own directory.
function _M.temporary(name)
  return _M.program.prefix() .. "/" .. name
end

function _M.write_file(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

function _M.read_file(path)
  local file = io.open(path, "r")
  if not file then
    return nil
  end
  local text = file:read("*a")
  file:close()
  return text
end

return _M
