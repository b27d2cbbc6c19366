-- Shared dictionaries in tables, as far as plugins of ours use abi/shdict: one named NAME.

local M = {}

-- The module; `dict` in it is key -> {value, ttl}.
function M.new(name)
  local dict = {}
  return {
    dict = dict,
    find = function(wanted) return wanted == name and 1 or nil end,
    names = function() return { name } end,
    capacity = function() return 16 * 1000 end,
    get = function(_, key) return dict[key] and dict[key].value end,
    set = function(_, key, value, ttl)
      dict[key] = { value = value, ttl = ttl }
      return true
    end,
    add = function(_, key, value, ttl)
      if dict[key] then
        return false, "exists"
      end
      dict[key] = { value = value, ttl = ttl }
      return true
    end,
    delete = function(_, key) dict[key] = nil return true end,
    incr = function(_, key, by, init, ttl)
      local item = dict[key] or { value = init, ttl = ttl }
      item.value = item.value + by
      dict[key] = item
      return item.value
    end,
    keys = function()
      local out = {}
      for key in pairs(dict) do
        out[#out + 1] = key
      end
      table.sort(out)
      return out
    end,
  }
end

return M
