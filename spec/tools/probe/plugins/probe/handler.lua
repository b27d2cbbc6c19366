-- Uses what the harness has to provide: time, timers, dictionaries, cache, contexts, every phase. Not a useful plugin.

local Probe = { PRIORITY = 5, VERSION = "1.0.0" }

local count = 0

function Probe:init_worker()
  ngx.timer.every(10, function()
    ngx.shared.kong:incr("ticks", 1, 0)
  end)
end

local function remember(premature, value)
  if not premature then
    ngx.shared.kong:set("late", value)
  end
end

function Probe:access(conf)
  count = count + 1
  local ok, err = ngx.shared.kong:add("seen", true, 60)
  if not ok and conf.strict then
    return kong.response.exit(429, "again: " .. err)
  end
  ngx.timer.at(5, remember, "yes")
  ngx.ctx.count = count
  kong.ctx.shared.at = ngx.now()
  if conf.rewrite then
    kong.service.set_target("other.test", 8080)
    kong.service.request.set_path("/new")
    kong.service.request.set_raw_query("z=1")
    kong.service.request.set_raw_body(kong.request.get_raw_body() .. "!")
    kong.service.request.set_method("POST")
  end
end

function Probe:header_filter()
  kong.response.clear_header("Content-Length")
  kong.response.set_status(201)
end

function Probe:body_filter()
  local body = kong.response.get_raw_body()
  if body then
    kong.response.set_raw_body(body:upper())
  end
end

function Probe:log(conf)
  kong.log.notice("served with ", kong.response.get_status())
  if conf.sleep_in_log then
    ngx.sleep(0)
  end
end

return Probe
