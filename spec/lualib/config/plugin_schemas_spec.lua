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
