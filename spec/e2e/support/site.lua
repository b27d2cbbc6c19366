-- The smallest configuration a spec needs: one service on a fake upstream, one route for every path.
-- What a spec is about stands in the spec: pass `service`, `route` and `more` as YAML.
-- Invariant: retries are off unless the spec turns them on.

local gateway = require("e2e.support.gateway")
local upstream = require("e2e.support.upstream")

local M = {}

local TEMPLATE = [[
_format_version: "3.0"
services:
- name: app
  url: %s
  retries: 0
%s
  routes:
  - name: app
    paths: ["/"]
%s
%s
]]

local function indent(yaml, by)
  return (("\n" .. (yaml or "")):gsub("\n([^\n]+)", "\n" .. (" "):rep(by) .. "%1"):sub(2))
end

-- YAML text. opts: service, route (lines put into those entities), more (top-level lines).
function M.config(url, opts)
  opts = opts or {}
  return TEMPLATE:format(url, indent(opts.service, 2), indent(opts.route, 4), opts.more or "")
end

-- A gateway before one fake upstream: gw, up. opts also go to gateway.start and upstream.start (opts.upstream).
function M.start(opts)
  opts = opts or {}
  local up = upstream.start(opts.upstream)
  opts.config = M.config(opts.url or up.url, opts)
  local ok, gw = pcall(gateway.start, opts)
  if not ok then
    up:stop()
    error(gw, 2)
  end
  return gw, up
end

-- For teardown: stops both; says nothing more when start() had already failed.
function M.stop(gw, up)
  local ok, err = true, nil
  if gw then
    ok, err = pcall(gw.stop, gw)
  end
  if up then
    up:stop()
  end
  if not ok then
    error(err, 2)
  end
end

return M
