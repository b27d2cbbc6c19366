-- What the schemas of guests may use while the configuration is loaded: `ngx`, `kong`, the modules behind them. What
-- needs no worker works (encodings, digests, regular expressions, JSON); the rest is there and says why it cannot be called.
-- Not where modules are found (host.lua). Invariant: nothing of it is loaded unless a schema asks for it.

local _M = {}

local WARN = 5

-- moongate.native as far as it can be, with what modules call while they are loaded.
local function native_of(host)
  local native = {
    share = function() return host.share end,
    prefix = function() return "" end,
    setting = function() return nil end,
    shd_find = function(name) return host.dictionaries[name] end,
    shd_get = function() return nil end, -- kong.cache looks at its dictionary when it is loaded
    set_timer_main = function() end,
    set_slot_tables = function() end,
    log = function(_, text) io.stderr:write(text, "\n") end,
    log_level = function() return WARN end,
  }
  for name, fn in pairs(host.pure) do
    native[name] = fn
  end
  return require("moongate.abi.workerless").refusing(native)
end

--- Makes `ngx` and `kong` globals that come into being when they are first read. host: what C gave host.lua;
--- load_compat(stem): a module of lualib/compat.
function _M.install(host, load_compat)
  package.loaded["moongate.cjson"], package.loaded["moongate.cjson.safe"] = require("cjson"), require("cjson.safe")
  package.preload["moongate.native"] = function() return native_of(host) end
  package.preload["moongate.abi.c"] = function() return require("moongate.abi.workerless").c(host.share) end
  package.loaded["cjson"] = load_compat("cjson")
  package.loaded["cjson.safe"] = load_compat("cjson/safe")
  local modules = { ngx = "moongate.ngx", kong = "moongate.pdk" }
  setmetatable(_G, { __index = function(t, name)
    local module = modules[name]
    if module then
      modules[name] = nil
      local value = require(module)
      rawset(t, name, value)
      return value
    end
  end })
end

return _M
