-- kong.node: this process and its memory.

local node = require("moongate.abi.node")
local shdict = require("moongate.abi.shdict")

local UNITS = { b = 1, k = 1024, m = 1024 ^ 2, g = 1024 ^ 3 }
local NAMES = { k = "KiB", m = "MiB", g = "GiB" }

local _M = {}

--- A uuid, the same in all workers until the gateway ends. All phases.
function _M.get_id()
  return node.node_id()
end

--- The machine's name. All phases.
function _M.get_hostname()
  return node.hostname()
end

local function scaled(bytes, unit, scale)
  if unit == "b" then
    return bytes
  end
  return ("%." .. scale .. "f %s"):format(bytes / UNITS[unit], NAMES[unit])
end

--- Memory of this worker's Lua heap and of the shared dictionaries.
-- unit: "b" (default: numbers), "k", "m", "g" (text like "1.50 MiB"). scale: digits, 0 to 9, 2 when nil.
-- Returns {workers_lua_vms = {{pid, http_allocated_gc}}, lua_shared_dicts = {name = {capacity, allocated_slabs}}}.
function _M.get_memory_stats(unit, scale)
  unit = unit == nil and "b" or unit
  if type(unit) ~= "string" or not UNITS[unit:lower()] then
    error("invalid unit '" .. tostring(unit) .. "' (expected 'k/K', 'm/M', or 'g/G')", 2)
  end
  unit, scale = unit:lower(), scale or 2
  if type(scale) ~= "number" or scale < 0 or scale > 9 then
    error("scale must be a number between 0 and 9", 2)
  end
  local dicts = {}
  for _, name in ipairs(shdict.names()) do
    local handle = shdict.find(name)
    local capacity = shdict.capacity(handle)
    dicts[name] = {
      capacity = scaled(capacity, unit, scale),
      allocated_slabs = scaled(capacity - shdict.free_space(handle), unit, scale),
    }
  end
  return {
    workers_lua_vms = { { pid = node.worker_pid(), http_allocated_gc = scaled(node.memory(), unit, scale) } },
    lua_shared_dicts = dicts,
  }
end

return _M
