-- The entities of one kind with their indexes: after any changes they hold what a search through all entities finds.

local Index = require("moongate.admin.index")

local ROW = { unique = { name = true }, foreign = { parent = "parents" }, combined = { "parent", "target" } }

local function page_ids(index, ids, size, after)
  local found, last = index:page(ids, size, after, function() return true end)
  local out = {}
  for i, entity in ipairs(found) do
    out[i] = entity.id
  end
  return out, last
end

describe("admin.index", function()
  local index

  before_each(function()
    index = Index.new(ROW)
    index:fill({ { id = "c", name = "three" }, { id = "a", name = "one", parent = { id = "p" }, target = "t" }, { id = "b" } })
  end)

  it("finds by id, name, reference and combination", function()
    assert.equal("one", index.by_id.a.name)
    assert.equal("c", index.unique.name.three)
    assert.same({ "a" }, index:ids_of("parent", "p"))
    assert.equal("a", index.combined[index:combination({ parent = { id = "p" }, target = "t" })])
  end)

  it("gives pages in the order of ids", function()
    local first, last = page_ids(index, index.ids, 2)
    assert.same({ { "a", "b" }, "b" }, { first, last })
    assert.same({ { "c" } }, { page_ids(index, index.ids, 2, last) })
    index:remove("b") -- the page's last: what follows is found nevertheless
    assert.same({ "c" }, (page_ids(index, index.ids, 2, "b")))
  end)

  it("forgets what an entity was", function()
    index:put({ id = "a", name = "uno", parent = { id = "q" }, target = "t" })
    assert.is_nil(index.unique.name.one)
    assert.equal("a", index.unique.name.uno)
    assert.same({}, index:ids_of("parent", "p"))
    index:remove("a")
    assert.is_nil(index.unique.name.uno)
    assert.same({}, index:ids_of("parent", "q"))
    assert.is_nil(index.combined[index:combination({ parent = { id = "q" }, target = "t" })])
  end)

  it("holds the same as all entities after many changes", function()
    local seed, alive = 7, {}
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return seed % n
    end
    index = Index.new(ROW)
    for i = 1, 500 do
      local id = ("%02d"):format(random(40))
      if random(3) == 0 and alive[id] then
        index:remove(id)
        alive[id] = nil
      else
        alive[id] = { id = id, name = "n" .. i, parent = { id = "p" .. random(3) } }
        index:put(alive[id])
      end
    end
    local ids, children = {}, 0
    for id in pairs(alive) do
      ids[#ids + 1] = id
    end
    table.sort(ids)
    assert.same(ids, index.ids)
    for p = 0, 2 do
      children = children + #index:ids_of("parent", "p" .. p)
    end
    assert.equal(#ids, children)
  end)

  it("writes an entity once, and again when it changed", function()
    assert.equal('{"id":"b"}', index:text("b"))
    index:put({ id = "b", name = "x" })
    assert.equal('{"id":"b","name":"x"}', index:text("b"))
  end)
end)
