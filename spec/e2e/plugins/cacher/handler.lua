-- Answers with a value of kong.cache, made slowly, and by which worker. For spec/e2e/cache_spec.lua.
--   X-Key: the key   X-Do: invalidate, renew, purge, post (an event, which all workers log), (default: get)

local Cacher = { PRIORITY = 1, VERSION = "1.0.0" }

local function make(key)
  kong.log.notice("making ", key)
  ngx.sleep(key == "left" and 5 or 0.2)
  return { made_by = ngx.worker.pid(), at = ngx.now() }
end

local function work(what, key)
  if what == "invalidate" then
    return kong.cache:invalidate(key)
  elseif what == "purge" then
    return kong.cache:purge()
  elseif what == "post" then
    return kong.worker_events.post("cacher", "told", { key = key })
  elseif what == "renew" then
    return kong.cache:renew(key, { ttl = 60 }, make, key)
  end
  return kong.cache:get(key, { ttl = 60 }, make, key)
end

function Cacher:init_worker()
  kong.worker_events.register(function(data)
    kong.log.notice("heard ", data.key, " in ", ngx.worker.pid())
  end, "cacher", "told")
end

function Cacher:access()
  local value, err, level = work(kong.request.get_header("X-Do") or "get", kong.request.get_header("X-Key"))
  return kong.response.exit(200, { value = value, err = err, level = level, pid = ngx.worker.pid() })
end

return Cacher
