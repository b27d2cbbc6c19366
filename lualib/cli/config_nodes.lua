-- `moongate config nodes`: which gateways follow a Redis, and which configuration each has.

local json = require "moongate.util.json_encode"
local node = require "moongate.abi.node"
local store = require "moongate.remote.store"

local FRESH_S, EXIT_BEHIND = 30, 3

local function ask(client, source)
  local current, why = store.current(client, source.keys)
  if current == nil then
    return nil, why
  end
  local nodes
  nodes, why = store.nodes(client, source.keys, node.now())
  return nodes, nodes and (current or "") or why
end

local function sorted(nodes)
  local list = {}
  for id, one in pairs(nodes) do
    one.id = id
    one.age = math.max(0, math.floor(node.now() - one.at))
    list[#list + 1] = one
  end
  table.sort(list, function(a, b)
    return a.id < b.id
  end)
  return list
end

local function as_text(list, current)
  local lines = { ("current configuration: %s"):format(current ~= "" and current or "none") }
  for _, one in ipairs(list) do
    lines[#lines + 1] = ("%s  %s  %s  %s  %d s ago"):format(one.id, tostring(one.hostname), tostring(one.version),
      one.problem and "refused: " .. one.problem or one.hash == "" and "none yet"
        or one.hash == current and "current" or one.hash, one.age)
  end
  return table.concat(lines, "\n")
end

-- args: where Redis is (store.with), "json" or "text".
return function(_, args)
  local nodes, current = store.with(args, ask)
  if not nodes then
    io.stderr:write("moongate: ", tostring(current), "\n")
    return 1
  end
  local list, code = sorted(nodes), 0
  for _, one in ipairs(list) do
    code = one.age <= FRESH_S and (one.hash ~= current or one.problem) and EXIT_BEHIND or code
  end
  io.stdout:write(args[1] == "json"
    and json.encode({ current = current, nodes = setmetatable(list, json.array_mt) })
    or as_text(list, current), "\n")
  return code
end
