-- cors: answers browsers' preflight requests, and says on other responses which origins may read them.
-- Not a protection of the service: only browsers ask.
-- Invariant: one origin is named at most, and `Vary: Origin` tells caches whenever it depends on who asks.

local origins = require "moongate.cors.origins"
local request = require "moongate.abi.request"
local response = require "moongate.abi.response"

local kong, ngx = kong, ngx
local concat, gmatch, lower = table.concat, string.gmatch, string.lower

local ALLOW_ORIGIN = "Access-Control-Allow-Origin"
local ALLOW_CREDENTIALS = "Access-Control-Allow-Credentials"

local Cors = {
  PRIORITY = 2000,
  VERSION = "3.14.0",
}

-- conf -> origins, compiled.
local compiled = setmetatable({}, { __mode = "k" })

local function origins_of(conf)
  local found = compiled[conf]
  if not found then
    found = origins.compile(conf.origins)
    compiled[conf] = found
  end
  return found
end

local function matches(subject, pattern)
  local from, _, err = ngx.re.find(subject, pattern, "ijo")
  if err then
    kong.log.err("cannot match the origin with '", pattern, "': ", err)
  end
  return from ~= nil
end

-- Adds Origin to Vary, unless it is there or everything varies.
local function vary_by_origin()
  for name in gmatch(response.header("Vary") or "", "[^%s,]+") do
    if name == "*" or lower(name) == "origin" then
      return
    end
  end
  response.add_header("Vary", "Origin")
end

-- Names the origin that may read the response: every one, the configured one, the client's, or none.
local function set_origin(conf, origin)
  local list = origins_of(conf)
  local named = list.fixed
  if list.all then
    named = conf.credentials and origin or "*" -- with credentials, "*" would mean nothing to a browser
  elseif not named and origin and origins.allows(list, origin, matches) then
    named = origin
  end
  if named ~= "*" then
    vary_by_origin()
  end
  if named then
    response.set_header(ALLOW_ORIGIN, named)
  else
    response.clear_header(ALLOW_ORIGIN)
  end
  if conf.credentials and named and named ~= "*" then
    response.set_header(ALLOW_CREDENTIALS, "true")
  end
end

local function set_list(name, list)
  if list and #list > 0 then
    response.set_header(name, concat(list, ","))
    return true
  end
  return false
end

local function set_allowed_headers(conf)
  if not set_list("Access-Control-Allow-Headers", conf.headers) then
    local asked = request.header("Access-Control-Request-Headers")
    if asked then
      response.set_header("Access-Control-Allow-Headers", asked)
    end
  end
end

local function answer(conf, origin)
  set_origin(conf, origin)
  set_allowed_headers(conf)
  set_list("Access-Control-Allow-Methods", conf.methods)
  if conf.max_age then
    response.set_header("Access-Control-Max-Age", ("%d"):format(conf.max_age))
  end
  if conf.private_network and request.header("Access-Control-Request-Private-Network") == "true" then
    response.set_header("Access-Control-Allow-Private-Network", "true")
  end
  return kong.response.exit(200)
end

local function is_preflight()
  return request.method() == "OPTIONS" and request.header("Origin") ~= nil
    and request.header("Access-Control-Request-Method") ~= nil
end

function Cors:access(conf)
  if is_preflight() and not conf.preflight_continue then
    return answer(conf, request.header("Origin"))
  end
end

-- Preflights are answered by then, or are the upstream's to answer.
function Cors:header_filter(conf)
  local origin = request.header("Origin")
  if is_preflight() or (not origin and not conf.allow_origin_absent) then
    return
  end
  set_origin(conf, origin)
  set_list("Access-Control-Expose-Headers", conf.exposed_headers)
end

return Cors
