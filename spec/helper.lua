-- Loaded by busted before every spec (see .busted): makes the project's modules reachable by the
-- names they have inside the gateway. It does not start anything; end-to-end tools are in spec/e2e.
-- Invariant: a pure module (util, schema, ai, a plugin's schema) loads here on a bare luajit.

local root = os.getenv("MOONGATE_ROOT") or "."

local function find(name)
  local path = name:match("^moongate%.(.+)$")
  if path then
    return "lualib/" .. path:gsub("%.", "/")
  elseif name == "moongate" then
    return "lualib/init"
  end
  path = name:match("^kong%.plugins%.(.+)$")
  if path then
    return "plugins/" .. path:gsub("%.", "/")
  end
  return name:match("^kong%.") and "lualib/compat/" .. name:gsub("%.", "/")
end

local function search(name)
  local stem = find(name)
  if not stem then
    return "\n\tnot a moongate module"
  end
  for _, file in ipairs({ root .. "/" .. stem .. ".lua", root .. "/" .. stem .. "/init.lua" }) do
    local handle = io.open(file, "r")
    if handle then
      handle:close()
      return assert(loadfile(file))
    end
  end
  return "\n\tno file '" .. root .. "/" .. stem .. ".lua'"
end

-- boot.lua keeps the C library under these names; "cjson" becomes what guests expect of it.
for _, name in ipairs({ "cjson", "cjson.safe" }) do
  package.preload["moongate." .. name] = function()
    return require(name)
  end
end

table.insert(package.loaders, 2, search)
package.path = root .. "/spec/?.lua;" .. package.path
