-- A plugin laid out and written as one for Kong, for the specs of `moongate test`.

local Greeter = { PRIORITY = 1000, VERSION = "0.1.0" }

local seen = 0 -- requests of this worker

function Greeter:init_worker()
  kong.log.debug("greeter starts")
end

function Greeter:access(conf)
  seen = seen + 1
  kong.ctx.plugin.number = seen
  kong.service.request.set_header(conf.request_header, "greeted")
  local name = kong.request.get_query_arg("name")
  if conf.ban and name == conf.ban then
    kong.log.warn("turned away ", name)
    return kong.response.exit(403, { message = "not you, " .. name }, { ["X-Reason"] = "banned" })
  end
end

function Greeter:header_filter(conf)
  kong.response.set_header(conf.response_header, tostring(kong.ctx.plugin.number))
end

function Greeter:log()
  kong.log.notice("request number ", kong.ctx.plugin.number)
end

return Greeter
