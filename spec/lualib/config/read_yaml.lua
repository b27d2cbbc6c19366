-- YAML for the specs of config/: lyaml's events as tables plus positions, the contract that the
-- gateway's own reader (C, libyaml) fulfils. No anchors, no tags; merge keys are not needed here.

local null = require("cjson").null
local yaml = require("yaml")

local WORDS = {
  ["true"] = true, ["True"] = true, ["false"] = false, ["False"] = false,
  ["null"] = null, ["~"] = null, [""] = null,
}

local function scalar(event)
  if event.style ~= "PLAIN" then
    return event.value
  end
  local word = WORDS[event.value]
  if word ~= nil then
    return word
  end
  if event.value:find("^[+-]?%d[%d%.eE+-]*$") and tonumber(event.value) then
    return tonumber(event.value)
  end
  return event.value
end

local build

local function build_sequence(next_event, positions)
  local out, places = {}, {}
  positions[out] = places
  while true do
    local event = next_event()
    if event.type == "SEQUENCE_END" then
      return out
    end
    local i = #places + 1
    places[i] = { event.start_mark.line + 1, event.start_mark.column + 1 }
    out[i] = build(event, next_event, positions)
  end
end

local function build_mapping(next_event, positions)
  local out, places = {}, {}
  positions[out] = places
  while true do
    local event = next_event()
    if event.type == "MAPPING_END" then
      return out
    end
    local key = scalar(event)
    places[key] = { event.start_mark.line + 1, event.start_mark.column + 1 }
    out[key] = build(next_event(), next_event, positions)
  end
end

function build(event, next_event, positions)
  if event.type == "MAPPING_START" then
    return build_mapping(next_event, positions)
  elseif event.type == "SEQUENCE_START" then
    return build_sequence(next_event, positions)
  end
  return scalar(event)
end

return function(text)
  local positions = setmetatable({}, { __mode = "k" })
  local next_event = yaml.parser(text)
  local ok, tree = pcall(function()
    for event in next_event do
      if event.type ~= "STREAM_START" and event.type ~= "DOCUMENT_START" then
        return event.type == "STREAM_END" and null or build(event, next_event, positions)
      end
    end
  end)
  if not ok then
    local line, column = tostring(tree):match("line: (%d+), column: (%d+)")
    return nil, { line = tonumber(line), column = tonumber(column), message = tostring(tree) }
  end
  return tree, positions
end
