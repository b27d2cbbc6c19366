-- Which translation stands between a client's format and a provider's.
-- It is NOT a translation. No bridge between equal formats: there the bytes pass.
-- Invariant: the functions of a bridge have the same shapes in every bridge.

local _M = {}

-- A bridge is {
--   provider: the provider's format, for messages about it
--   request(text, how) -> text, dropped | nil, error
--   response(text, how) -> text, details | nil, error
--   collect(text) -> text | nil, error: a stream that nobody asked for, as a whole answer
--   stream(how) -> translator;  replay(translator, text) -> text     see stream.lua
--   credentials: headers a client of that format carries its own key in; not for this provider
--   error(text, status) -> text | nil: a provider's error for the client; nil: passes untouched
-- }
local BRIDGES = {
  ["openai>anthropic"] = {
    provider = "anthropic",
    credentials = { "Authorization" },
    request = require("moongate.ai.anthropic.request").convert,
    response = require("moongate.ai.anthropic.response").convert,
    collect = require("moongate.ai.collect").anthropic,
    stream = require("moongate.ai.anthropic.stream").new,
    replay = require("moongate.ai.anthropic.replay").message,
  },
  ["anthropic>openai"] = {
    provider = "openai",
    credentials = { "X-Api-Key", "Anthropic-Version", "Anthropic-Beta" },
    request = require("moongate.ai.anthropic.front_request").convert,
    response = require("moongate.ai.anthropic.front_response").convert,
    collect = require("moongate.ai.collect").openai,
    stream = require("moongate.ai.anthropic.front_stream").new,
    replay = require("moongate.ai.anthropic.front_stream").replay,
    error = require("moongate.ai.anthropic.front_response").error,
  },
}

-- The bridge, nil when the formats are equal, or nil, error when there is none.
function _M.between(client, provider)
  if client == provider then
    return nil
  end
  local bridge = BRIDGES[client .. ">" .. provider]
  return bridge, not bridge and "no bridge" or nil
end

return _M
