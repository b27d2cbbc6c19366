-- Which trace headers a plugin reads, removes and writes: its `propagation` (or older `header_type`)
-- turned into a plan. The formats themselves: formats.lua.

local formats = require "moongate.tracing.formats"

local _M = {}

local ALL = { "w3c", "b3", "jaeger", "ot", "datadog", "aws", "gcp", "instana" }

-- What the older setting meant: a name reads everything and writes what was found and that name.
local function from_header_type(kind, default_format)
  if kind == "ignore" then
    return { extract = {}, inject = { default_format } }
  elseif kind == "preserve" or kind == nil then
    return { extract = ALL, inject = { "preserve" } }
  end
  return { extract = ALL, inject = { "preserve", kind } , only_default = kind }
end

-- {extract = names, clear = names of fields, inject = names, default_format}.
function _M.plan(conf)
  local p = conf.propagation or {}
  local default_format = p.default_format or "w3c"
  local plan
  if p.extract or p.inject or p.clear then
    plan = { extract = p.extract or {}, inject = p.inject or {}, clear = p.clear }
  else
    plan = from_header_type(conf.header_type, default_format)
  end
  plan.default_format = plan.only_default or default_format
  plan.clear = plan.clear or {}
  return plan
end

-- The first format that is there: context, its name; or nil. get(name) -> value of a request's field | nil.
function _M.extract(plan, get)
  for _, name in ipairs(plan.extract) do
    local context = formats.all[name].extract(get)
    if context then
      return context, name == "b3" and formats.b3_kind(get) or name
    end
  end
end

-- Writes span = {trace_id, span_id, parent_id, should_sample} in the plan's formats. found: extract's name.
function _M.inject(plan, span, found, set)
  local written = {}
  for _, name in ipairs(plan.inject) do
    if name == "preserve" then
      name = found or plan.default_format
    end
    if not written[name] then
      written[name] = true
      formats.all[name].inject(span, set)
    end
  end
end

return _M
