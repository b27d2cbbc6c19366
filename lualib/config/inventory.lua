-- Every entity of a configuration as it was read: defaults filled in, references as {id =}, ids given. For the Admin API.
-- Not the document that workers run (document.lua): disabled entities are here, secrets stay references, nothing is numbered.
-- Invariant: what it gives can be written as one declarative file that reads to the same configuration.

local json = require("moongate.util.json_encode")

local M = {}

local function entity_of(entry)
  local out = {}
  for name, value in pairs(entry.output) do
    out[name] = value
  end
  for field, target in pairs(entry.refs) do
    out[field] = { id = target.id }
  end
  return out
end

local function add_members(run, out)
  local pairs_of_group = json.array()
  for _, consumer in ipairs(run.entries.consumers) do
    for _, group in ipairs(consumer.groups_of or {}) do
      table.insert(pairs_of_group, { consumer = { id = consumer.id }, consumer_group = { id = group.id } })
    end
  end
  out.consumer_group_consumers = pairs_of_group
end

--- Of a run without errors: {entities = {services = {entity...}, ..., consumer_group_consumers = {pair...}},
--- source = SHA-1 of the text when there was one only, plugin_names = {...}}.
function M.build(run, list)
  local out = { entities = {} }
  for _, kind in ipairs(run.kinds.order) do
    local all = json.array()
    for i, entry in ipairs(run.entries[kind]) do
      all[i] = entity_of(entry)
    end
    out.entities[kind] = all
  end
  add_members(run, out.entities)
  out.source = #list == 1 and list[1].text and run.opts.sha1(list[1].text) or nil
  out.plugin_names = json.array(run.opts.plugin_names and run.opts.plugin_names() or {})
  return out
end

return M
