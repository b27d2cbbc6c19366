-- `kong` and `ngx` as snippets see them: everything can be called and read; what is the request's own can be
-- written (kong.ctx, ngx.ctx, ngx.header, ngx.var, ngx.arg, ngx.status); the tables of functions cannot.
-- Not the rest of a snippet's environment (util/sandbox).
-- Invariant: a snippet that assigns to a module changes nobody else's.

local copy = require "moongate.guest.copy"
local environment = require "moongate.guest.environment"

local _M = {}

local function refuse(_, name)
  error("cannot set '" .. tostring(name) .. "' here", 2)
end

-- A table that reads `source` and gives views of the tables in it. open: names of tables handed out as they are.
-- instead: what stands for others, by name.
local function view(source, open, assign, instead)
  local views = setmetatable({}, { __mode = "k" }) -- by table: what a name stands for may change
  return setmetatable({}, {
    __index = function(_, name)
      local value = instead and instead[name] or source[name]
      if type(value) ~= "table" or open and open[name] or copy.is_locked(value) then
        return value
      elseif copy.is_locked(getmetatable(value)) then
        return copy.of(value) -- marked by what its metatable is
      end
      local known = views[value]
      if not known then
        known = view(value)
        views[value] = known
      end
      return known
    end,
    __newindex = assign or refuse,
    __call = function(_, ...)
      return source(...)
    end,
    __metatable = false,
  })
end

_M.view = view

local REQUEST_OWN = { ctx = true, header = true, var = true, arg = true, null = true }

-- The view of ngx; assignments that mean the request go through.
function _M.of_ngx(ngx)
  return view(ngx, REQUEST_OWN, function(_, name, value)
    if name ~= "status" and name ~= "ctx" then
      refuse(nil, name)
    end
    ngx[name] = value
  end, { shared = ngx.shared and copy.proxy(ngx.shared, refuse) })
end

-- kong.ctx hands the request's tables out itself.
function _M.of_kong(kong)
  local objects = {}
  for _, name in ipairs(environment.OBJECTS) do
    objects[name] = kong[name] and copy.proxy(kong[name], refuse)
  end
  return view(kong, { ctx = true }, nil, objects)
end

local MODULES = { ["cjson"] = true, ["cjson.safe"] = true, ["kong.tools.cjson"] = true, ["kong.tools.string"] = true,
  ["kong.tools.table"] = true, ["kong.tools.time"] = true, ["kong.tools.uuid"] = true, ["kong.tools.http"] = true,
  ["kong.tools.ip"] = true }

-- require for snippets: views of a few pure modules.
function _M.require(name)
  if not MODULES[name] then
    error(("require '%s' not allowed within sandbox"):format(tostring(name)), 2)
  end
  return view(require(name))
end

return _M
