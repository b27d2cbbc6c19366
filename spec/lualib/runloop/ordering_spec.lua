-- The order of plugins when entities wish for one.

local ordering = require("moongate.runloop.ordering")

local function names(entries)
  local out = {}
  for i, entry in ipairs(entries) do
    out[i] = entry.name
  end
  return table.concat(out, " ")
end

-- "a b c" with wishes {b = {before = "a"}, ...} for the access phase.
local function sorted(text, wishes, phase)
  local entries = {}
  for name in text:gmatch("%S+") do
    local wish, entry = wishes[name], { name = name }
    if wish then
      entry.ordering = {
        before = wish.before and { access = wish.before }, after = wish.after and { access = wish.after },
      }
    end
    entries[#entries + 1] = entry
  end
  local out, err = ordering.sort(entries, phase or "access")
  return names(out), err
end

describe("runloop.ordering", function()
  local cases = {
    { {}, "a b c d" },
    { { d = { before = { "b" } } }, "a d b c" },
    { { a = { after = { "c" } } }, "b c a d" },
    { { d = { before = { "a", "c" } } }, "d a b c" },
    { { c = { before = { "a" } }, d = { before = { "c" } } }, "d c a b" },
    { { a = { after = { "absent" } }, b = { before = { "b" } } }, "a b c d" },
  }
  for _, case in ipairs(cases) do
    it("gives " .. case[2], function()
      assert.same(case[2], (sorted("a b c d", case[1])))
    end)
  end

  it("leaves other phases alone", function()
    assert.same("a b", (sorted("a b", { b = { before = { "a" } } }, "log")))
  end)

  it("tells of wishes that contradict, and keeps the priority", function()
    local order, err = sorted("a b c", { a = { after = { "b" } }, b = { after = { "a" } } })
    assert.same("a b c", order)
    assert.same("ordering of plugins in access contradicts itself (a, b): they run by priority", err)
  end)
end)
