-- Every path of the Admin API with its methods and its function: the one table behind dispatch, GET /endpoints, the page of
-- documentation and the spec that tries all of them without credentials.
-- Invariant: a path that is not here is not answered.

local config_api = require("moongate.admin.config_api")
local entities_api = require("moongate.admin.entities_api")
local errors = require("moongate.admin.errors")
local health_api = require("moongate.admin.health_api")
local json = require("moongate.util.json_encode")
local kinds = require("moongate.admin.kinds")
local node_api = require("moongate.admin.node_api")
local schemas_api = require("moongate.admin.schemas_api")

local _M = {}

local READ, WRITE, COLLECTION = { "GET" }, { "POST" }, { "GET", "POST" }
local MEMBER = { "GET", "PUT", "PATCH", "DELETE" }

-- {path =, methods =, fn =}. A segment in braces is a parameter.
local rows = {}
_M.rows = rows

local function add(path, methods, fn)
  rows[#rows + 1] = { path = path, methods = methods, fn = fn }
end

local function endpoints()
  local data = json.array()
  for i, row in ipairs(rows) do
    data[i] = row.path
  end
  table.sort(data)
  return { status = 200, body = { data = data } }
end

add("/", READ, node_api.root)
add("/status", READ, node_api.status)
add("/metrics", READ, node_api.metrics)
add("/timers", READ, node_api.timers)
add("/endpoints", READ, endpoints)
add("/config", COLLECTION, config_api.dispatch)
add("/plugins/enabled", READ, node_api.enabled_plugins)
add("/plugins/schema/{name}", READ, schemas_api.plugin)
add("/schemas/plugins/validate", WRITE, schemas_api.validate_kind("plugins"))
add("/schemas/plugins/{name}", READ, schemas_api.plugin)
add("/schemas/vaults/{name}", READ, schemas_api.vault)
add("/schemas/vaults/validate", WRITE, schemas_api.validate_kind("vaults"))
add("/schemas/{entity}", READ, schemas_api.entity)
add("/schemas/{entity}/validate", WRITE, schemas_api.validate)
add("/debug/node/log-level", READ, node_api.log_level)
add("/debug/node/log-level/{level}", { "PUT" }, node_api.set_log_level)
add("/tags", READ, entities_api.tags)
add("/tags/{tag}", READ, entities_api.tags)
add("/workspaces/{name}", READ, node_api.workspace)
add("/proxy-cache", { "DELETE" }, node_api.cache_flush)
add("/proxy-cache/{key}", { "GET", "DELETE" }, node_api.cache_entry)
add("/proxy-cache/{plugin}/caches/{key}", { "GET", "DELETE" }, node_api.cache_entry)
add("/upstreams/{upstream}/health", READ, health_api.upstream)
add("/upstreams/{upstream}/targets/all", READ, health_api.all_targets)
for _, verdict in ipairs({ "healthy", "unhealthy" }) do
  for _, target in ipairs({ "{target}", "{target}/{address}" }) do
    add("/upstreams/{upstream}/targets/" .. target .. "/" .. verdict, { "PUT", "POST" }, health_api.set(verdict))
  end
end

for _, kind in ipairs({ "consumer_groups", "consumers" }) do
  local row = kinds.by_kind[kind]
  local below = kind == "consumers" and "consumer_groups" or "consumers"
  add(("/%s/{id}/%s"):format(kind, below), COLLECTION, entities_api.members(row))
  add(("/%s/{id}/%s/{member}"):format(kind, below), { "GET", "DELETE" }, entities_api.membership(row))
end

for _, row in ipairs(kinds.list) do
  if row.path then
    add("/" .. row.path, COLLECTION, entities_api.collection(row))
    add("/" .. row.path .. "/{id}", MEMBER, entities_api.member(row))
    for field in pairs(row.foreign) do
      add("/" .. row.path .. "/{id}/" .. field, READ, entities_api.referred(row, field))
    end
  end
  for parent_kind, field in pairs(row.under) do
    local parent = kinds.by_kind[parent_kind]
    if parent then
      local path = "/" .. parent.path .. "/{parent}/" .. row.below
      add(path, COLLECTION, entities_api.collection_below(parent, row, field))
      add(path .. "/{id}", MEMBER, entities_api.member_below(parent, row, field))
    end
  end
end

-- matching ----------------------------------------------------------------------------------------

-- By number of segments and first segment; rows with fewer parameters come first.
local by_shape = {}

local function segments_of(path)
  local out = {}
  for segment in path:gmatch("[^/]+") do
    out[#out + 1] = segment
  end
  return out
end

local function shape_of(segments)
  return #segments .. "/" .. (segments[1] or "")
end

for _, row in ipairs(rows) do
  row.segments, row.allows, row.n_params = segments_of(row.path), { OPTIONS = true }, 0
  for _, method in ipairs(row.methods) do
    row.allows[method] = true
    row.allows.HEAD = row.allows.HEAD or method == "GET"
  end
  for _, segment in ipairs(row.segments) do
    row.n_params = row.n_params + (segment:find("^{") and 1 or 0)
  end
  local shape = shape_of(row.segments)
  by_shape[shape] = by_shape[shape] or {}
  table.insert(by_shape[shape], row)
end
for _, list in pairs(by_shape) do
  table.sort(list, function(a, b)
    if a.n_params ~= b.n_params then
      return a.n_params < b.n_params
    end
    return a.path < b.path
  end)
end

local function params_of(row, segments)
  local params = {}
  for i, segment in ipairs(row.segments) do
    if segment:find("^{") then
      params[#params + 1] = segments[i]
    elseif segment ~= segments[i] then
      return nil
    end
  end
  return params
end

--- The row for a list of decoded segments and its parameters, or nil.
function _M.find(segments)
  for _, row in ipairs(by_shape[shape_of(segments)] or {}) do
    local params = params_of(row, segments)
    if params then
      return row, params
    end
  end
end

--- "DELETE, GET, HEAD, OPTIONS"
function _M.allowed(row)
  local out = {}
  for method in pairs(row.allows) do
    out[#out + 1] = method
  end
  table.sort(out)
  return table.concat(out, ", ")
end

--- The answer to a method that the row does not have.
function _M.not_allowed(row)
  local answer = errors.message(405, "Method not allowed")
  answer.headers = { Allow = _M.allowed(row) }
  return answer
end

return _M
