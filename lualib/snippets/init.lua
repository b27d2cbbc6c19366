-- Lua snippets in a plugin's configuration, one list for each phase: what pre-function and post-function
-- are made of. Text chunks only, each in an environment of its own (util/sandbox, snippets/views).
-- A snippet that returns a function is run once: from then on the function stands for it, its upvalues kept.
-- Not a jail for hostile code: an operator writes it.

local sandbox = require "moongate.util.sandbox"
local safe_xpcall = require("moongate.guest.environment").safe_xpcall
local views = require "moongate.snippets.views"

local _M = {}

_M.PHASES = { "certificate", "rewrite", "access", "header_filter", "body_filter", "log" }

local extra -- kong, ngx and require for snippets; made when the first one is compiled in the gateway

local function environment()
  extra = extra or { kong = views.of_kong(kong), ngx = views.of_ngx(ngx), require = views.require,
    xpcall = safe_xpcall(require("moongate.abi.guard").stopped) }
  return extra
end

-- Is it Lua? true, or nil and the message for the configuration's reader.
function _M.check(text, plugin)
  local fn, err = sandbox.compile(text, plugin, {})
  if not fn then
    return nil, "error parsing " .. plugin .. ": " .. err
  end
  return true
end

-- A function that runs the snippet.
local function load_one(text, name)
  local chunk = assert(sandbox.compile(text, name, environment(), true))
  local ran, stands = false, chunk
  return function()
    if ran then
      return stands()
    end
    ran = true
    local result = chunk()
    if type(result) == "function" then
      stands = result
      return result()
    end
  end
end

local function load_phases(conf, plugin)
  local out = {}
  for _, phase in ipairs(_M.PHASES) do
    local list = {}
    for i, text in ipairs(conf[phase] or {}) do
      list[i] = load_one(text, ("%s:%s[%d]"):format(plugin, phase, i))
    end
    out[phase] = list
  end
  return out
end

-- The handler of a plugin of that name and priority.
function _M.handler(plugin, priority)
  local exchange = require "moongate.abi.exchange"
  local loaded = setmetatable({}, { __mode = "k" }) -- conf -> phase -> functions
  local handler = { PRIORITY = priority, VERSION = "3.14.0", OPTIONAL = { body_filter = true },
    SNIPPETS = true }

  local function run(conf, phase)
    local of_conf = loaded[conf]
    if not of_conf then
      of_conf = load_phases(conf, plugin)
      loaded[conf] = of_conf
    end
    local list = of_conf[phase]
    for i = 1, #list do
      list[i]()
    end
  end

  for _, phase in ipairs(_M.PHASES) do
    handler[phase] = function(_, conf)
      run(conf, phase)
    end
  end
  -- Bodies cross into Lua only where there is something for them.
  function handler.header_filter(_, conf)
    if conf.body_filter and conf.body_filter[1] then
      exchange.want("body_filter")
    end
    run(conf, "header_filter")
  end
  return handler
end

local TEXTS = {
  certificate = "before the certificate is chosen (plugins without a route, service or consumer only)",
  rewrite = "before routing (plugins without a route, service or consumer only)",
  access = "before the upstream is asked",
  header_filter = "when the response's head is there",
  body_filter = "for each piece of the response's body",
  log = "after the response",
}

-- The schema of a plugin of that name.
function _M.schema(plugin)
  local typedefs = require "moongate.schema.typedefs"
  local function phase(name, description)
    return { [name] = { type = "array", required = true, default = {}, description = description,
      elements = { type = "string", required = false, custom_validator = function(text)
        return _M.check(text, plugin)
      end } } }
  end
  local fields = {}
  for i, name in ipairs(_M.PHASES) do
    fields[i] = phase(name, "Lua snippets run " .. TEXTS[name] .. ".")
  end
  for _, name in ipairs({ "ws_handshake", "ws_client_frame", "ws_upstream_frame", "ws_close" }) do
    fields[#fields + 1] = phase(name, "Accepted for Kong's files; never run.")
  end
  return {
    name = plugin,
    fields = {
      { consumer = typedefs.no_consumer },
      { consumer_group = typedefs.no_consumer_group },
      { protocols = typedefs.protocols },
      { config = { type = "record", fields = fields } },
    },
  }
end

return _M
