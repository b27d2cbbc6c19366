-- A gateway that runs Lua text inside a plugin (spec/e2e/plugins/script): one gateway for the many small
-- questions of a spec. Not for plugins of several phases: those have their own directories.
-- Invariant: an error inside the text is an error of the spec.

local client = require("e2e.support.client")
local site = require("e2e.support.site")

local M = {}

local ROOT = os.getenv("MOONGATE_ROOT") or assert(io.popen("pwd")):read("*l")

-- gw, up. opts: as site.start; `settings` are added to.
function M.start(opts)
  opts = opts or {}
  opts.settings = opts.settings or {}
  opts.settings.plugin_dirs = ROOT .. "/spec/e2e"
  opts.more = (opts.more or "") .. "plugins:\n- name: script\n"
  return site.start(opts)
end

-- What the text returns, as an array; nil and userdata are cjson.null. %d and %s are filled with the further arguments.
function M.run(gw, text, ...)
  if select("#", ...) > 0 then
    text = text:format(...)
  end
  local response = client.request({ to = gw, method = "POST", path = "/script?q=1", body = text })
  if response.status ~= 200 then
    error(("the script's request was answered with %d: %s"):format(response.status, response.body), 2)
  end
  local got = response:json()
  if got.error then
    error(got.error, 2)
  end
  return got.values
end

-- A request whose answer the text makes itself (X-Script), with a body of its own. opts: as client.request.
function M.request(gw, text, opts)
  opts = opts or {}
  opts.to, opts.path = gw, opts.path or "/script"
  opts.headers = opts.headers or {}
  opts.headers["X-Script-Name"] = "own"
  opts.headers["X-Script"] = text:gsub("[^%w]", function(char)
    return ("%%%02X"):format(char:byte())
  end)
  return client.request(opts)
end

M.stop = site.stop

return M
