-- The loader's surroundings when C runs it (runtime/lua/loader.c): where modules and plugin schemas
-- are found, and what comes back as text. No rule of configuration is here.
-- Called as a chunk: host(native, sources) -> { document =, problems =, errors =, warnings = }.
-- Invariant: a module is found where boot.lua of a worker finds it.

local native, list = ...

local function readable(path)
  local file = io.open(path, "r")
  if file then
    file:close()
    return true
  end
  return false
end

local function parent(path)
  return path:match("^(.*)/[^/]*$") or "."
end

local function plugin_dirs()
  local dirs = {}
  local function add(dir)
    dirs[#dirs + 1] = dir
  end
  for _, dir in ipairs(native.plugin_dirs) do
    add(dir .. "/plugins")
    add(dir .. "/kong/plugins")
    add(dir)
  end
  for _, path in ipairs(native.config_paths) do
    add(path .. "/plugins")
    add(parent(path) .. "/plugins")
  end
  add(native.share .. "/plugins")
  return dirs
end

local PLUGIN_DIRS = plugin_dirs()

local function find(dirs, stem)
  for _, dir in ipairs(dirs) do
    for _, tail in ipairs({ ".lua", "/init.lua" }) do
      if readable(dir .. "/" .. stem .. tail) then
        return dir .. "/" .. stem .. tail
      end
    end
  end
  return nil
end

-- Directories and file stem of a module of ours, or nil.
local function place_of(name)
  local stem = name:gsub("%.", "/")
  if stem:find("^kong/plugins/") then
    return PLUGIN_DIRS, stem:sub(#"kong/plugins/" + 1)
  elseif stem:find("^moongate/") then
    return { native.share .. "/lualib" }, stem:sub(#"moongate/" + 1)
  elseif stem:find("^kong/") or stem:find("^resty/") or stem:find("^ngx/") then
    return { native.share .. "/lualib/compat" }, stem
  end
  return nil
end

-- The plugin file that was read with the documents, {path=, text=}, or nil.
local function code_of(stem)
  return native.code[stem .. ".lua"] or native.code[stem .. "/init.lua"]
end

table.insert(package.loaders, 2, function(name)
  local dirs, stem = place_of(name)
  local code = dirs == PLUGIN_DIRS and code_of(stem)
  if code then
    local chunk, err = loadstring(code.text, "@" .. code.path)
    return chunk or error(err, 0)
  end
  local path = dirs and find(dirs, stem)
  if path then
    return assert(loadfile(path))
  end
  return dirs and "\n\tno file '" .. stem .. ".lua' in " .. table.concat(dirs, ", ")
end)
package.loaders[#package.loaders + 1] = function(name)
  local path = find({ native.share .. "/lualib/compat" }, (name:gsub("%.", "/")))
  return path and assert(loadfile(path))
end
if native.lua_path ~= "" then
  package.path = native.lua_path .. ";" .. package.path
end

local json = require("moongate.util.json_encode")

local loader = require("moongate.config.loader")
require("moongate.schema.regex").use_compiler(native.check_regex)
require("moongate.config.guest").install(native, function(stem)
  return assert(loadfile(native.share .. "/lualib/compat/" .. stem .. ".lua"))(stem)
end)

-- Lists are marked as the JSON writer marks them, so that an empty one stays a list.
local function parse_yaml(text)
  return native.parse_yaml(text, json.array_mt)
end

-- nil when there is no such plugin; nil and why when its schema does not load.
local function plugin_schema(name)
  if not name:find("^[%w_-]+$")
    or not (code_of(name .. "/schema") or find(PLUGIN_DIRS, name .. "/schema")) then
    return nil
  end
  local ok, schema = pcall(require, "kong.plugins." .. name .. ".schema")
  if not ok then
    return nil, tostring(schema)
  elseif type(schema) ~= "table" then
    return nil, "schema.lua returns no table"
  end
  return schema
end

local function plugin_names()
  local names, seen = {}, {}
  for _, dir in ipairs(PLUGIN_DIRS) do
    for _, name in ipairs(native.list_directory(dir)) do
      if not seen[name] and readable(dir .. "/" .. name .. "/schema.lua") then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  table.sort(names)
  return names
end

-- The entities that plugins declare in daos.lua.
local function plugin_daos()
  local rows = {}
  for _, name in ipairs(plugin_names()) do
    if code_of(name .. "/daos") or find(PLUGIN_DIRS, name .. "/daos") then
      local ok, daos = pcall(require, "kong.plugins." .. name .. ".daos")
      rows[#rows + 1] = { plugin = name, daos = ok and daos or nil, err = not ok and tostring(daos) or nil }
    end
  end
  return rows
end

collectgarbage("setpause", 400) -- this state lives for one load: 10,000 routes are a sixth faster so

local document, problems, inventory = loader.load(list, {
  inventory = native.admin, parse_yaml = parse_yaml, plugin_schema = plugin_schema, plugin_names = plugin_names,
  plugin_daos = plugin_daos,
  getenv = os.getenv, read_secret = native.read_secret, sha1 = native.sha1,
})

-- What workers run and resolve is what was read here: it travels with the document.
if document and not native.bare then
  if next(native.code) then
    document.code = { hash = native.code_hash, files = native.code }
  end
elseif document then
  document.secrets = nil
end

local lines, count = {}, { error = 0, warning = 0 }
for i, problem in ipairs(problems) do
  lines[i] = loader.format_problem(problem) .. "\n"
  count[problem.severity] = count[problem.severity] + 1
end

-- Code that does not compile is found here, before any worker tries it.
local function check_code()
  local used, paths = {}, {}
  for _, plugin in ipairs(document.plugins) do
    used[plugin.name] = true
  end
  for key, file in pairs(native.code) do
    if used[key:match("^[^/]+")] then
      local chunk, err = loadstring(file.text, "@" .. file.path)
      paths[#paths + 1] = not chunk and err or nil
    end
  end
  table.sort(paths)
  for _, err in ipairs(paths) do
    lines[#lines + 1] = err .. "\n"
    count.error = count.error + 1
  end
end

if document then
  check_code()
end

-- What the process of the Admin API serves: its own plugin on every path, which gets all entities as they were read.
local function admin_document()
  return require("moongate.admin.document").build(json.encode(inventory), document, {
    hash = native.code_hash, files = native.code })
end

return {
  document = document and count.error == 0 and json.encode(document), problems = table.concat(lines),
  admin = document and inventory and count.error == 0 and json.encode(admin_document()) or nil,
  errors = count.error, warnings = count.warning,
}
