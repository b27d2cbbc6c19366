-- bot-detection: keeps out clients whose User-Agent says that they are robots.
-- Not a defence: a User-Agent is what the client makes it. A request without one passes.
-- Invariant: `allow` is asked first, then `deny`, then the built-in list.

local request = require "moongate.abi.request"
local rules = require "kong.plugins.bot-detection.rules"

local kong, ngx = kong, ngx

local BotDetection = {
  PRIORITY = 2500,
  VERSION = "3.14.0",
}

local function matches(agent, patterns)
  for i = 1, #patterns do
    local from, _, err = ngx.re.find(agent, patterns[i], "jo")
    if from then
      return true
    elseif err then
      kong.log.err("cannot match User-Agent with '", patterns[i], "': ", err)
    end
  end
  return false
end

local function is_bot(conf, agent)
  if conf.allow and matches(agent, conf.allow) then
    return false
  end
  return (conf.deny and matches(agent, conf.deny)) or matches(agent, rules)
end

function BotDetection:access(conf)
  local agent = request.header("User-Agent")
  if not agent then
    return
  elseif request.header_lines("User-Agent") > 1 then
    return kong.response.error(400, "Only one User-Agent header allowed")
  elseif is_bot(conf, agent) then
    return kong.response.error(403)
  end
end

return BotDetection
