-- bot-detection: keeps out clients whose User-Agent says that they are robots.
-- Not a defence: a User-Agent is what the client makes it. A request without one passes.
-- Invariant: `allow` is asked first, then `deny`, then the built-in list.

local request = require "moongate.abi.request"
local rules = require "kong.plugins.bot-detection.rules"

local kong, ngx = kong, ngx

local VERDICTS_MAX, AGENT_MAX_BYTES = 1024, 512

local BotDetection = {
  PRIORITY = 2500,
  VERSION = "3.14.0",
}

-- conf -> {n, of = {User-Agent = is it a robot?}}; begun anew when full. Few clients differ in it.
local verdicts = setmetatable({}, { __mode = "k" })

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

local function examine(conf, agent)
  if conf.allow and matches(agent, conf.allow) then
    return false
  end
  return (conf.deny and matches(agent, conf.deny)) or matches(agent, rules)
end

local function is_bot(conf, agent)
  local known = verdicts[conf]
  if not known or known.n >= VERDICTS_MAX then
    known = { n = 0, of = {} }
    verdicts[conf] = known
  end
  local verdict = known.of[agent]
  if verdict == nil then
    verdict = examine(conf, agent)
    if #agent <= AGENT_MAX_BYTES then
      known.n, known.of[agent] = known.n + 1, verdict
    end
  end
  return verdict
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
