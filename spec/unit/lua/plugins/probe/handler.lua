-- A plugin for the bridge's tests: runs the Lua text in its configuration, phase by phase.
-- Text sees `conf`, `h` (this handler, a place to leave things) and the global functions below.

local probe = { PRIORITY = 10, VERSION = "1.0.0", seen = {} }

_G.seen = probe.seen

local cache = setmetatable({}, { __mode = "k" })

local function run(self, conf, name)
  local text = conf[name]
  if not text then
    return
  end
  local fns = cache[conf]
  if not fns then
    fns = {}
    cache[conf] = fns
  end
  local fn = fns[name]
  if not fn then
    fn = assert(loadstring("local conf, h = ... " .. text, "=" .. name))
    fns[name] = fn
  end
  return fn(conf, self)
end

for _, name in ipairs({ "certificate", "rewrite", "access", "response", "header_filter", "body_filter", "log" }) do
  probe[name] = function(self, conf)
    return run(self, conf, name)
  end
end

probe.response = nil
probe.init_worker = function()
  probe.seen.init_worker = (probe.seen.init_worker or 0) + 1
end

return probe
