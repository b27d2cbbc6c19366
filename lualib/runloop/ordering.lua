-- The order of a phase's plugins when instances ask for another one than PRIORITY's: `ordering.before` and
-- `ordering.after` of plugin entities, names by phase. Pure; the chains are plan.lua's.
-- Invariant: without a wish the order stays; a wish that contradicts others changes nothing and is told.

local M = {}

local function add(edges, from, to)
  if from and to and from ~= to then
    edges[from] = edges[from] or {}
    edges[from][to] = true
  end
end

local function index_of(entries)
  local index = {}
  for i, entry in ipairs(entries) do
    index[entry.name] = i
  end
  return index
end

-- edges[i][j]: entry i runs before entry j. nil when nobody wishes anything in the phase.
local function edges_of(entries, phase, index)
  local edges, found = {}, false
  for i, entry in ipairs(entries) do
    local wish = entry.ordering or {}
    for _, name in ipairs(wish.before and wish.before[phase] or {}) do
      add(edges, i, index[name])
      found = true
    end
    for _, name in ipairs(wish.after and wish.after[phase] or {}) do
      add(edges, index[name], i)
      found = true
    end
  end
  return found and edges or nil
end

-- Places by which free entries are taken: who wishes to run before others stands right in front of the first of
-- them; who wishes to run after others just waits.
local function places_of(entries, phase, index)
  local places, step = {}, 1 / (#entries + 1)
  for i = 1, #entries do
    places[i] = i
  end
  for _ = 1, #entries do
    for i, entry in ipairs(entries) do
      local before = entry.ordering and entry.ordering.before
      for _, name in ipairs(before and before[phase] or {}) do
        local other = index[name]
        places[i] = other and other ~= i and math.min(places[i], places[other] - step) or places[i]
      end
    end
  end
  return places
end

-- Of the entries left, that no other one left must precede, the one with the first place; nil.
local function next_free(places, left, edges)
  local found
  for i in pairs(left) do
    local free = true
    for other in pairs(left) do
      free = free and not (edges[other] and edges[other][i])
    end
    local first = free and (not found or places[i] < places[found] or places[i] == places[found] and i < found)
    found = first and i or found
  end
  return found
end

--- entries: list of {name =, ordering = {before = {access = {names}}, after = ...} or nil, ...} in the order of priority.
-- Returns the list for the phase (the same one when nothing is wished), and what is wrong when wishes contradict.
function M.sort(entries, phase)
  local index = index_of(entries)
  local edges = edges_of(entries, phase, index)
  if not edges then
    return entries
  end
  local places, out, left = places_of(entries, phase, index), {}, {}
  for i = 1, #entries do
    left[i] = true
  end
  for _ = 1, #entries do
    local i = next_free(places, left, edges)
    if not i then
      local names = {}
      for at = 1, #entries do
        names[#names + 1] = left[at] and entries[at].name or nil
      end
      return entries, ("ordering of plugins in %s contradicts itself (%s): they run by priority"):format(
        phase, table.concat(names, ", "))
    end
    left[i] = nil
    out[#out + 1] = entries[i]
  end
  return out
end

return M
