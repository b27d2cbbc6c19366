-- A plugin instance's configuration as the table its handler gets: decoded on first use, references
-- to secrets resolved, Kong's hidden fields added. One table per instance and generation.
-- Invariant: its identity is stable (plugins key caches on it) and nobody here changes it later.

local json = require "moongate.abi.json"
local node = require "moongate.abi.node"
local route = require "moongate.abi.route"
local sets = require "moongate.schema.sets"
local vault = require "moongate.runloop.vault"

local _M = {}

local LOG_ERR = 4

local function id_of(kind, index)
  local entity = index and route.entity(kind, index)
  return entity and entity.id
end

local function materialise(record)
  local conf = json.decode(record.config)
  sets.make(conf, route.list("sets")[record.id] or {})
  vault.resolve(conf, function(path, reference, why)
    node.log(LOG_ERR, ("[lua] plugin \"%s\" (%s): config.%s: cannot resolve %s: %s"):format(
      record.name, record.id, path, reference, why))
  end)
  conf.__plugin_id, conf.__ws_id, conf.__seq__ = record.id, "default", route.generation()
  conf.plugin_instance_name = record.instance_name
  conf.route_id = id_of("route", record.route)
  conf.service_id = id_of("service", record.service)
  conf.consumer_id = id_of("consumer", record.consumer)
  conf.__key__ = table.concat({ "plugins", record.name, conf.route_id or "", conf.service_id or "",
    conf.consumer_id or "", "", record.id }, ":")
  return conf
end

-- The record's conf. The generation asked for entities must be the record's.
function _M.get(record)
  local conf = record.conf
  if not conf then
    conf = materialise(record)
    record.conf = conf
  end
  return conf
end

return _M
