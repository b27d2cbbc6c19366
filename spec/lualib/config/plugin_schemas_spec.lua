-- The schemas of the plugins in the tree: each joins with the common part, and an empty config
-- gives defaults or sentences.

local check = require("moongate.config.check")
local lfs = require("lfs")

local root = os.getenv("MOONGATE_ROOT") or "."

local function schema_files()
  local files = {}
  for name in lfs.dir(root .. "/plugins") do
    if lfs.attributes(root .. "/plugins/" .. name .. "/schema.lua", "mode") == "file" then
      files[#files + 1] = name
    end
  end
  table.sort(files)
  return files
end

describe("plugin schemas", function()
  for _, name in ipairs(schema_files()) do
    it(name .. " is a usable definition under its own name", function()
      local definition = require("kong.plugins." .. name .. ".schema")
      local schema, err = check.plugin_schema(definition)
      assert.is_nil(err)
      assert.equal(name, definition.name)
      local out, failed = schema:process({ name = name, config = {} })
      for _, item in ipairs(out and {} or schema:flatten_errors(failed)) do
        assert.is_true(item.path[1] == "config" or #item.path == 0) -- of a field, or of the whole plugin
        assert.is_string(item.message)
      end
    end)

    it(name .. " names an unknown field", function()
      local schema = check.plugin_schema(require("kong.plugins." .. name .. ".schema"))
      local _, failed = schema:process({ name = name, config = { no_such_field = 1 } })
      assert.equal("unknown field", failed.config.no_such_field)
    end)
  end
end)

describe("a load with plugins' schemas", function()
  local fixture = require("lualib.config.fixture")
  local SETS = { name = "sets", fields = { { config = { type = "record", fields = {
    { methods = { type = "set", elements = { type = "string" }, default = { "GET", "PUT" } } },
    { deep = { type = "record", required = true, fields = {
      { codes = { type = "set", elements = { type = "integer" } } } } } },
    { old = { type = "string", deprecation = { message = "use new", removal_in_version = "4.0" } } },
  } } } } }

  local function load(text)
    local document, problems = fixture.load(text, nil, { plugin_schema = function() return SETS end })
    return document, fixture.lines(problems)
  end

  it("tells which members of a configuration are sets", function()
    local document = load("plugins:\n- name: sets\n  config: {deep: {codes: [1]}}\n")
    local plugin = document.plugins[1]
    assert.same({ [plugin.id] = { "deep.codes", "methods" } }, document.sets)
  end)

  it("warns of a deprecated field once, with the version that loses it", function()
    local _, lines = load([[
services:
- {name: a, host: a, plugins: [{name: sets, config: {old: x}}]}
- {name: b, host: b, plugins: [{name: sets, config: {old: y}}]}
]])
    assert.equal(1, #lines)
    assert.matches("^kong.yaml:3:.*warning: .*config.old: deprecated: use new %(scheduled for removal in 4.0%)", lines[1])
  end)
end)
