-- Tells when the gateway configures it, and has a phase that never runs. For spec/e2e/plugin_interface_spec.lua.

local Lifecycle = { PRIORITY = 10, VERSION = "1.0.0" }

local function marks(configs)
  local out = {}
  for i, conf in ipairs(configs or {}) do
    out[i] = conf.mark
  end
  table.sort(out)
  return configs and table.concat(out, ",") or "nothing"
end

function Lifecycle:init_worker()
  kong.log.notice("began")
end

function Lifecycle:configure(configs)
  kong.log.notice("configured with ", marks(configs))
end

function Lifecycle:ws_client_frame() end

function Lifecycle:access(conf)
  kong.response.set_header("X-Set", tostring(conf.methods[kong.request.get_method()] or false) .. #conf.methods)
  kong.response.set_header("X-Hidden", conf.__ws_id .. " " .. tostring(conf.__seq__ >= 1))
  kong.ctx.shared.order = (kong.ctx.shared.order or "") .. conf.mark .. " "
  kong.log.set_serialize_value("request.headers.mark", conf.mark)
  kong.log.set_serialize_value("client_ip", "never", { mode = "add" })
end

return Lifecycle
