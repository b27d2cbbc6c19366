-- Plugins' Lua files as they were read with the configuration: every worker of a generation runs the same code, also one
-- that starts when the files have changed. A Lua state keeps the code that it began with.
-- Not finding files on disk (boot.lua does, for what is not here).

local confine = require "moongate.runloop.confine"
local json = require "moongate.abi.json"
local route = require "moongate.abi.route"

local _M = {}

local files -- ["name/handler.lua"] = {path=, text=}; nil until the first generation is installed

--- Takes the code of the generation being installed, once in the life of this state.
function _M.use()
  if not files then
    files = json.decode(route.raw("code")).files or {}
  end
end

--- The chunk of "name/handler" ("name/handler.lua" or "name/handler/init.lua"), or nil. Raises when it does not compile.
function _M.load(stem)
  local file = files and (files[stem .. ".lua"] or files[stem .. "/init.lua"])
  if not file then
    return nil
  end
  return confine.chunk(stem, file.text, file.path)
end

return _M
